"""The AWQ layout: the order of its nibbles, and what gptqmodel makes of it."""

import pytest
import torch

from quantgui.formats.awq import dense_layer, quantization_config
from quantgui.quant.assignment import assign
from quantgui.quant.registry import arithmetic, build
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Checkpoint, ModelConfig, Role, SourceKind, TensorInfo

SHAPE = (16, 64)


def linear(name: str, shape: tuple[int, int] = (64, 128), role: Role = Role.MLP) -> TensorInfo:
    return TensorInfo(name, shape, "BF16", 2 * shape[0] * shape[1], role=role, layer=0)


def encoded(scheme, quantized: QuantizedRows) -> dict[str, torch.Tensor]:
    return {part.suffix: part.data for part in scheme.storage.encode(scheme, quantized, 0, SHAPE, "BF16")}


def test_the_first_word_holds_the_first_eight_outputs_even_ones_first():
    scheme = build(SchemeSpec("AWQ-4", {"group_size": 32}))
    codes = (torch.arange(16).unsqueeze(1) % 8).expand(SHAPE).to(torch.int8) - 8  # output o has the stored code o % 8
    quantized = QuantizedRows(codes, torch.ones(16, 2, dtype=torch.float16), torch.zeros(16, 2, dtype=torch.int8))
    parts = encoded(scheme, quantized)
    assert parts["qweight"].shape == (64, 2)
    assert set(parts["qweight"].reshape(-1).tolist()) == {0x75316420}
    assert set(parts["qzeros"].view(torch.uint8).reshape(-1).tolist()) == {0x88}


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group_size", [32, 64])
def test_the_library_dequantizes_what_we_do(symmetric, group_size):
    scheme = build(SchemeSpec("AWQ-4", {"group_size": group_size, "symmetric": symmetric}))
    method = arithmetic(scheme)
    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    quantized = method.quantize(weight, torch.bfloat16, None)
    parts = encoded(scheme, quantized)
    assert parts["scales"].dtype is torch.float16
    decoded = method.dequantize(scheme.storage.decode(scheme, parts, SHAPE))
    assert torch.equal(decoded, method.dequantize(quantized))
    torch.testing.assert_close(dense_layer(scheme, parts).float(), decoded, rtol=2e-3, atol=1e-6)


def test_kept_layers_are_named_in_the_config():
    tensors = (linear("model.layers.0.mlp.up_proj.weight"), linear("model.layers.0.mlp.down_proj.weight"))
    recipe = Recipe(SchemeSpec("AWQ-4", {"group_size": 64}), (Rule("*down*"),))
    config = quantization_config(assign(Checkpoint("m", SourceKind.CONFIG, "", tensors, ModelConfig("llama")), recipe))
    assert config["modules_to_not_convert"] == ["model.layers.0.mlp.down_proj"]
    assert (config["bits"], config["group_size"], config["zero_point"]) == (4, 64, True)


@pytest.mark.parametrize(
    ("tensor", "parameters", "model_type", "why"),
    [
        (linear("h.0.attn.c_attn.weight"), {}, "gpt2", "Conv1D"),
        (linear("lm_head.weight", role=Role.HEAD), {}, "llama", "output head"),
        (linear("model.layers.0.mlp.up_proj.weight", (60, 128)), {}, "llama", "not a multiple of 8"),
        (linear("model.layers.0.mlp.up_proj.weight", (64, 96)), {}, "llama", "does not divide"),
        (linear("model.layers.0.mlp.up_proj.weight", (64, 256)), {"group_size": 256}, "llama", "gptqmodel knows"),
        (linear("model.layers.0.mlp.experts.1.up_proj.weight", role=Role.EXPERT), {}, "mixtral", "experts"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_in_words(tensor, parameters, model_type, why):
    scheme = build(SchemeSpec("AWQ-4", parameters))
    assert why in scheme.storage.objection(scheme, tensor, ModelConfig(model_type))
