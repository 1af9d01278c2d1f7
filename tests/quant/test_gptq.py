"""GPTQ on the bundled model: what its next-token logits keep at each width, and that calibration helps."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from quantgui.calibration.text import calibration_samples
from quantgui.calibration.walk import Walk
from quantgui.checkpoint.resolve import resolve
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.quant.assignment import assign
from quantgui.quant.methods.gptq import Gptq, GptqBlocks
from quantgui.schemes.recipe import Recipe, SchemeSpec

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small products on a busy machine: torch's threads would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def samples() -> torch.Tensor:
    return calibration_samples(Path(resolve("demo").path), None, 8, 128)


def logits(samples: torch.Tensor, scheme_id: str | None, *, calibrated: bool = True) -> torch.Tensor:
    """The bundled model's logits for the last sample; its layers are quantized on all where there is a scheme."""
    demo = resolve("demo")
    recipe = Recipe(SchemeSpec(scheme_id or "GPTQ-4"))
    assigned = {a.tensor.name: a for a in assign(demo, recipe) if a.scheme is not None}
    with TensorData(demo) as data:
        walk = Walk(demo, samples, CPU, data.tensor)
        for block in walk:
            mine = {name: assigned[name] for name in block.linears}
            if scheme_id is None:
                continue
            if calibrated:
                list(GptqBlocks().quantize_block(block, mine))
                continue
            for name, weight in block.linears.items():
                scheme = mine[name].scheme
                assert scheme is not None
                weight.copy_(Gptq(scheme).dequantize(Gptq(scheme).quantize(weight, torch.float16, None)))
        return walk.logits(len(samples) - 1)


@pytest.mark.slow
def test_last_token_logits_keep_their_direction(samples):
    original = logits(samples, None)
    last = {bits: logits(samples, f"GPTQ-{bits}") for bits in (8, 4, 3)}
    cosine = {bits: float(torch.cosine_similarity(found[-1], original[-1], dim=0)) for bits, found in last.items()}
    assert cosine[8] > 0.99
    assert cosine[4] > 0.97
    assert cosine[3] > 0.9
    rounded = logits(samples, "GPTQ-3", calibrated=False)
    assert float((last[3] - original).norm()) < float((rounded - original).norm())
