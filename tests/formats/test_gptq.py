"""GPTQ's layout: what we write is what gptqmodel dequantizes, at every width, version and order of columns."""

import warnings

import pytest
import torch

from quantgui.formats import gptq
from quantgui.quant.method import RowArithmetic
from quantgui.quant.methods.gptq import Gptq
from quantgui.quant.registry import build
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.recipe import SchemeSpec
from quantgui.schemes.scheme import Scheme
from quantgui.types import ModelConfig, Role, TensorInfo

SHAPE = (64, 128)
CONFIG = ModelConfig("llama")


def info(name: str = "model.layers.0.mlp.up_proj.weight", shape: tuple[int, int] = SHAPE) -> TensorInfo:
    return TensorInfo(name, shape, "BF16", 2 * shape[0] * shape[1], role=Role.MLP)


def quantized(scheme: Scheme) -> tuple[RowArithmetic, QuantizedRows]:
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) + 0.3
    method = Gptq(scheme)
    rows = method.quantize(weight, torch.bfloat16, None)
    if scheme.act_order:
        groups = scheme.scale_shape(SHAPE)[1]
        order = torch.randperm(SHAPE[1], generator=torch.Generator().manual_seed(1))
        rows.group_index = (order % groups).to(torch.int32)
    return method, rows


def stored_parts(scheme: Scheme, rows: QuantizedRows) -> dict[str, torch.Tensor]:
    parts = scheme.storage.encode(scheme, rows, 0, SHAPE, "BF16")
    planned = {part.suffix: part for part in scheme.parts(SHAPE, "BF16")}
    assert {part.suffix: part.data.numel() * part.data.element_size() for part in parts} == {
        suffix: part.nbytes for suffix, part in planned.items()
    }
    return {part.suffix: part.data.view(planned[part.suffix].shape) for part in parts}


@pytest.mark.slow
@pytest.mark.parametrize("version", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"symmetric": False}, {"act_order": True, "symmetric": False}, {"granularity": "channel"}],
    ids=str,
)
def test_gptqmodel_reads_the_same_weights(version, bits, parameters):
    scheme = build(SchemeSpec(f"GPTQ-{bits}", {"group_size": 32, "format": version, **parameters}))
    method, rows = quantized(scheme)
    parts = stored_parts(scheme, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own, while it is imported
        theirs = gptq.dense_layer(scheme, {suffix: part.clone() for suffix, part in parts.items()})
    ours = method.dequantize(scheme.storage.decode(scheme, parts, SHAPE))
    assert torch.equal(ours, method.dequantize(rows))
    torch.testing.assert_close(theirs.float(), ours, rtol=2**-10, atol=0)


def test_version_one_never_needs_a_zero_point_of_zero():
    """Stored less one it would become the largest number, which readers take for one more than there is."""
    scheme = build(SchemeSpec("GPTQ-2", {"group_size": 32, "symmetric": False}))
    weight = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))  # all positive
    rows = Gptq(scheme).quantize(weight, torch.bfloat16, None)
    assert rows.zero_point is not None
    assert int(rows.zero_point.min()) == -1  # signed: -2 is the smallest of two bits
    assert float((Gptq(scheme).dequantize(rows) - weight).abs().max()) <= 0.5 * float(rows.scale.max())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("tensor", "model_type", "parameters", "words"),
    [
        (info("transformer.h.0.attn.c_attn.weight"), "gpt2", {}, "Conv1D"),
        (info("model.layers.0.mlp.experts.1.w1.weight"), "mixtral", {}, "experts"),
        (info("lm_head.weight"), "llama", {}, "numbered blocks"),
        (info(shape=(64, 100)), "llama", {}, "not multiples of 32"),
        (info(shape=(64, 96)), "llama", {"group_size": 64}, "does not divide"),
        (info(shape=(64, 96)), "llama", {"group_size": 48}, "groups of 16"),
    ],
)
def test_what_the_format_cannot_hold(tensor, model_type, parameters, words):
    scheme = build(SchemeSpec("GPTQ-4", {"group_size": 32, **parameters}))
    assert words in scheme.storage.objection(scheme, tensor, ModelConfig(model_type))
    assert scheme.storage.objection(scheme, info(), CONFIG) == ("" if parameters != {"group_size": 48} else words) or (
        words == "groups of 16"
    )


def test_the_config_says_what_loaders_ask():
    scheme = build(SchemeSpec("GPTQ-3", {"group_size": 32, "act_order": True, "format": "gptq_v2", "damping": 0.05}))
    kept = Assignment(info("model.layers.1.mlp.up_proj.weight"), None)
    config = gptq.quantization_config([Assignment(info(), scheme), kept])
    assert config["bits"] == 3
    assert config["desc_act"] is True
    assert config["checkpoint_format"] == config["format"] == "gptq_v2"
    assert config["damp_percent"] == 0.05
    assert config["block_name_to_quantize"] == "model.layers"
    assert config["modules_in_block_to_quantize"] == [["model.layers.0.mlp.up_proj"]]


def test_one_checkpoint_holds_one_scheme():
    four, eight = build(SchemeSpec("GPTQ-4")), build(SchemeSpec("GPTQ-8"))
    other = info("model.layers.1.mlp.up_proj.weight")
    assert gptq.mix_objection([Assignment(info(), four), Assignment(other, four)]) == ""
    assert "GPTQ-4 and GPTQ-8" in gptq.mix_objection([Assignment(info(), four), Assignment(other, eight)])
