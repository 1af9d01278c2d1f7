"""Reordered rows against the plain definition of each order, whatever the size of the blocks."""

import numpy as np
import pytest
import torch

from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.transform import Rows, copied_rows, ordered_sources, transformed_rows
from quantgui.types import ModelConfig, UserError

CONFIG = ModelConfig(
    "llama",
    raw={"model_type": "llama", "hidden_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6},
)


def values(rows: Rows, elements: int) -> torch.Tensor:
    parts, expected = [], 0
    for first, block in rows.blocks(elements):
        part = rows.values(block)
        assert first == expected
        assert part.is_contiguous()
        expected += len(part)
        parts.append(part)
    return torch.cat(parts)


@pytest.mark.parametrize("elements", [1, 40, 10**6])
@pytest.mark.parametrize(("name", "heads"), [("attn_q", 4), ("attn_k", 2)])
def test_rotated_rows_stand_in_pairs(elements, name, heads):
    source = torch.randn(heads * 6, 24).bfloat16()
    made = GgufTensor(f"blk.0.{name}.weight", (heads * 6, 24), ("a",), 0)
    found = values(transformed_rows(made, [source], "llama", CONFIG), elements)
    expected = source.float().numpy().reshape(heads, 2, 3, 24).swapaxes(1, 2).reshape(heads * 6, 24)
    np.testing.assert_array_equal(found, expected)


def test_biases_are_reordered_with_their_weights():
    made = GgufTensor("blk.0.attn_q.bias", (24,), ("a",), 0)
    source = torch.arange(24.0)
    expected = source.reshape(4, 2, 3).swapaxes(1, 2).reshape(1, 24)
    assert torch.equal(values(transformed_rows(made, [source], "llama", CONFIG), 5), expected)
    assert torch.equal(values(transformed_rows(made, [source], "qwen2", CONFIG), 5), source[None])


@pytest.mark.parametrize("elements", [1, 100, 10**6])
def test_fused_heads_are_sorted_by_what_they_are(elements):
    source = torch.randn(72, 24)
    made = GgufTensor("blk.0.attn_qkv.weight", (72, 24), ("a",), 0)
    expected = source.reshape(4, 3, 6, 24).transpose(0, 1).reshape(72, 24)
    assert torch.equal(values(transformed_rows(made, [source], "gptneox", CONFIG), elements), expected)


@pytest.mark.parametrize("elements", [1, 10**6])
def test_matrices_stored_with_inputs_first_are_turned(elements):
    source = torch.randn(24, 10)
    made = GgufTensor("blk.0.ffn_up.weight", (10, 24), ("a",), 0)
    assert torch.equal(values(transformed_rows(made, [source], "gpt2", CONFIG), elements), source.T)


def test_gemma_norms_gain_the_one_that_was_left_out():
    source = torch.randn(24)
    norm = GgufTensor("blk.0.attn_norm.weight", (24,), ("a",), 0)
    assert torch.equal(values(transformed_rows(norm, [source], "gemma3", CONFIG), 5), source[None] + 1)
    assert torch.equal(values(transformed_rows(norm, [source], "llama", CONFIG), 5), source[None])


def test_experts_are_stacked_by_their_number_and_no_block_holds_two():
    names = tuple(f"model.layers.0.mlp.experts.{i}.up_proj.weight" for i in (0, 1, 10, 2))
    made = GgufTensor("blk.0.ffn_up_exps.weight", (4, 8, 24), names, 0)
    assert [name.split(".")[5] for name in ordered_sources(made)] == ["0", "1", "2", "10"]
    sources = [torch.randn(8, 24) for _ in names]
    rows = transformed_rows(made, sources, "qwen3moe", CONFIG)
    assert torch.equal(values(rows, 10**6), torch.cat(sources))
    assert [first for first, _ in rows.blocks(10**6)] == [0, 8, 16, 24]
    stack = torch.randn(4, 8, 24)
    assert [first for first, _ in copied_rows(stack).blocks(10**6)] == [0, 8, 16, 24]


def test_blocks_of_a_quantized_source_are_dequantized():
    from quantgui.formats.gguf.kernels import dequantize_rows, quantize_rows

    weights = np.random.default_rng(0).normal(size=(6, 64)).astype(np.float32)
    raw = quantize_rows("Q8_0", weights)
    found = values(copied_rows(torch.from_numpy(raw), type_name="Q8_0"), 100)
    np.testing.assert_array_equal(found, dequantize_rows("Q8_0", raw, 64))


def test_frequencies_come_from_the_config():
    raw = {**CONFIG.raw, "rope_parameters": {"rope_type": "llama3", "factor": 8.0, "rope_theta": 500000.0}}
    rows = transformed_rows(GgufTensor("rope_freqs.weight", (3,)), [], "llama", ModelConfig("llama", raw=raw))
    assert values(rows, 10)[0, 0] == 1
    with pytest.raises(UserError, match="factors"):
        transformed_rows(GgufTensor("rope_factors_long.weight", (3,)), [], "phi3", ModelConfig("phi3", raw=raw))


@pytest.mark.parametrize(("name", "shape"), [("attn_q", (26, 24)), ("ffn_up", (5, 24))])
def test_sources_that_do_not_fit_are_refused(name, shape):
    made = GgufTensor(f"blk.0.{name}.weight", (24, 24), ("a",), 0)
    with pytest.raises(UserError):
        transformed_rows(made, [torch.zeros(shape)], "llama", CONFIG)
