"""gpt-oss as it is published, with experts in MXFP4: its blocks are copied, and predict what transformers predicts."""

import json

import gguf
import numpy as np
import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.imatrix import read_imatrix
from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.formats.gguf.size import gguf_rows
from quantgui.jobs.events import Finished
from quantgui.jobs.job import Calibration, ImatrixJob, QuantizeJob
from quantgui.pipeline import run
from quantgui.pipeline.imatrix import compute_imatrix
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from tests.formats.gguf.test_packed_blocks import values
from tests.pipeline.gguf_architectures import MODELS
from tests.pipeline.gguf_models import write_byte_tokenizer
from tests.pipeline.test_gguf_logits import LIMIT, TOKENS, convert, saved

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A model whose experts hold values of MXFP4, and its folder with these packed."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("packed")
    model = saved(folder, *MODELS["gpt_oss"])
    tensors = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    for name in [name for name in tensors if name.endswith(("experts.gate_up_proj", "experts.down_proj"))]:
        experts, inputs, outputs = tensors.pop(name).shape
        codes = torch.randint(256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
        scales = torch.randint(118, 121, (experts, outputs, inputs // 32), dtype=torch.uint8)
        tensors |= {f"{name}_blocks": codes, f"{name}_scales": scales}
        with torch.no_grad():
            model.get_parameter(name).copy_(values(codes, scales).transpose(1, 2))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "mxfp4"}}))
    return model, folder


def test_dequantized_experts_predict_the_same(published, tmp_path):
    import torch

    model, folder = published
    convert(folder, tmp_path / "x.gguf")
    tokens = [(37 * i + 11) % 280 + 5 for i in range(TOKENS)]
    with torch.no_grad():
        expected = model(torch.tensor([tokens])).logits[0]
    with (
        LlamaModel(tmp_path / "x.gguf") as loaded,
        loaded.context(256, cache_type="F32", flash_attention=False) as context,
    ):
        found = context.logits(tokens, every=True)
    assert np.abs(found - expected.numpy()).max() <= LIMIT


@pytest.mark.parametrize(("scheme", "verified"), [("MXFP4_MOE", True), ("Q4_0", False)])
def test_blocks_are_copied_whatever_the_mixture(published, tmp_path, scheme, verified):
    _, folder = published
    result = quantized(QuantizeJob(str(folder), str(tmp_path / "x.gguf"), Recipe(SchemeSpec(scheme)), verify=verified))
    assert not verified or result.verification.status.value == "verified", result.verification
    assert any("as the model stores them" in warning for warning in result.warnings)
    predicted = {kind: size for kind, _, size in gguf_rows(open_checkpoint(folder))}
    assert (tmp_path / "x.gguf").stat().st_size == predicted[scheme]
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    down = tensors["blk.1.ffn_down_exps.weight"]
    assert down.tensor_type == gguf.GGMLQuantizationType.MXFP4
    with open_source(folder) as stored:
        scales = stored.get_tensor("model.layers.1.mlp.experts.down_proj_scales")
        gates = stored.get_tensor("model.layers.1.mlp.experts.gate_up_proj_scales")
    blocks = down.data.reshape(*scales.shape, 17)
    np.testing.assert_array_equal(blocks[..., 0], scales)
    gate = tensors["blk.1.ffn_gate_exps.weight"].data
    np.testing.assert_array_equal(gate.reshape(12, 96, 2, 17)[..., 0], gates[:, ::2])


def test_a_rule_may_round_them_again(published, tmp_path):
    _, folder = published
    rule = Rule("*ffn_down_exps*", SchemeSpec("Q8_0"))
    recipe = Recipe(SchemeSpec("MXFP4_MOE"), (rule,))
    quantized(QuantizeJob(str(folder), str(tmp_path / "x.gguf"), recipe, verify=False))
    types = {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors}
    assert types["blk.0.ffn_down_exps.weight"] == gguf.GGMLQuantizationType.Q8_0
    assert types["blk.0.ffn_up_exps.weight"] == gguf.GGMLQuantizationType.MXFP4


def test_its_importance_matrix_is_that_of_plain_weights(published, tmp_path):
    model, folder = published
    model.save_pretrained(tmp_path / "plain")
    write_byte_tokenizer(tmp_path / "plain")
    packed, plain = (matrix_of(path, tmp_path / f"{path.name}.gguf") for path in (folder, tmp_path / "plain"))
    assert packed.keys() == plain.keys()
    assert "blk.3.ffn_down_exps.weight" in packed
    for name, entry in plain.items():
        np.testing.assert_allclose(packed[name].sums, entry.sums, rtol=1e-4)
        np.testing.assert_array_equal(packed[name].counts, entry.counts)


def matrix_of(folder, output):
    result = compute_imatrix(
        ImatrixJob(str(folder), str(output), Calibration(samples=2, length=16)), lambda event: None
    )
    assert result.missing == ()
    return read_imatrix(output).entries


def quantized(job):
    events = []
    run(job, events.append)
    assert isinstance(events[-1], Finished)
    assert events[-1].quantized is not None
    return events[-1].quantized


def open_source(folder):
    from safetensors import safe_open

    return safe_open(folder / "model.safetensors", "np")
