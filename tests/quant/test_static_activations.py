"""W8A8 and SmoothQuant on a block with planted outliers, and the scales that they store."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from quantgui.calibration.block import Block
from quantgui.calibration.walk import Walk
from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.quant.assignment import assign
from quantgui.quant.calibrated import CalibratedTensor
from quantgui.quant.methods.static_activations import REACHES, StaticBlocks
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError
from tests.calibration.models import saved

IDS = torch.randint(3, 96, (4, 32), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def run(tmp_path):
    """`run(scheme_id, outlier, **parameters)`: the first block of a tiny Llama, before, and its results."""

    def blocks(
        scheme_id: str, outlier: float = 40.0, **parameters: Any
    ) -> Iterator[tuple[Block, dict[str, torch.Tensor], list[CalibratedTensor]]]:
        folder = saved(tmp_path / "model", "llama", "LlamaForCausalLM")
        tensors = load_file(folder / "model.safetensors")
        for name, tensor in tensors.items():
            if name.endswith("layernorm.weight"):
                tensor[[3, 17]] = outlier
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        checkpoint = open_checkpoint(folder)
        recipe = Recipe(SchemeSpec(scheme_id, parameters))
        assigned = {a.tensor.name: a for a in assign(checkpoint, recipe) if a.scheme is not None}
        for block in Walk(checkpoint, IDS, torch.device("cpu"), TensorData(checkpoint).tensor):
            inputs: dict[str, torch.Tensor] = {"output": block.output(0)}

            def seen(name: str, rows: torch.Tensor, inputs: dict[str, torch.Tensor] = inputs) -> None:
                inputs[name] = torch.maximum(inputs.get(name, torch.zeros(())), rows.abs().amax())

            block.capture(seen)
            ours = {name: assigned[name] for name in block.linears}
            yield block, inputs, list(StaticBlocks().quantize_block(block, ours))
            return

    return blocks


def mean_error(run: Any, scheme_id: str, **parameters: Any) -> float:
    """Mean relative squared output error of the layers."""
    ((_, _, results),) = run(scheme_id, **parameters)
    found = [result.output_error for result in results if result.output_error is not None]
    assert len(found) == 7
    return sum(found) / len(found)


def test_smoothing_helps_where_channels_stand_out(run):
    plain = mean_error(run, "W8A8")
    smoothed = mean_error(run, "SmoothQuant-W8A8")
    searched = mean_error(run, "SmoothQuant-W8A8", per_layer=True)
    assert smoothed < 0.5 * plain
    assert searched <= 1.02 * smoothed
    assert mean_error(run, "SmoothQuant-W8A8", activations="dynamic") < smoothed


def test_no_smoothing_without_outliers_does_no_harm_either(run):
    assert mean_error(run, "SmoothQuant-W8A8", outlier=1.0, per_layer=True) <= 1.02 * mean_error(
        run, "W8A8", outlier=1.0
    )


@pytest.mark.parametrize(
    ("scheme_id", "parameters", "levels"), [("W8A8", {}, 127), ("FP8", {"activations": "static"}, 448)]
)
def test_the_stored_scale_reaches_the_largest_input_seen_or_a_tried_part_of_it(scheme_id, parameters, levels, run):
    ((block, before, results),) = run(scheme_id, **parameters)
    largest = torch.stack([before[result.name] for result in results])
    scales = torch.stack([result.quantized.input_scale[0] for result in results if result.quantized is not None])
    reaches = scales * levels / largest
    nearest = torch.tensor(REACHES)[(reaches.unsqueeze(1) - torch.tensor(REACHES)).abs().argmin(dim=1)]
    torch.testing.assert_close(reaches, nearest, rtol=1e-5, atol=0)
    assert set(block.input_rounding) == {result.name for result in results}
    assert all(result.fold is None for result in results)


def test_the_block_computes_with_rounded_inputs_from_then_on(run):
    ((block, before, _),) = run("SmoothQuant-W8A8")
    rounded = block.output(0)
    block.input_rounding.clear()
    weights_only = block.output(0)
    assert not torch.equal(rounded, weights_only)
    assert float((rounded - before["output"]).norm() / before["output"].norm()) < 0.1
    assert float((weights_only - before["output"]).norm()) < float((rounded - before["output"]).norm())


def test_a_layer_that_no_token_reaches_ends_the_run_in_words(run, monkeypatch):
    from quantgui.quant import folded_block

    real = folded_block.gather
    monkeypatch.setattr(folded_block, "gather", lambda block, names, **_: dict(list(real(block, names).items())[1:]))
    with pytest.raises(UserError, match="No calibration token reached"):
        list(run("W8A8"))
