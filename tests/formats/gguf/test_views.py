"""Orders of rows against their plain definitions, one head or expert after the other."""

import pytest
import torch

from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.transform import transformed_rows
from quantgui.types import ModelConfig, UserError

RAW = {
    "num_attention_heads": 4,
    "qk_nope_head_dim": 3,
    "v_head_dim": 2,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 6,
    "linear_key_head_dim": 2,
    "linear_value_head_dim": 3,
    "vocab_size_per_layer_input": 5,
}


def read(architecture, name, shape, source, elements=10**6, **raw):
    """The values of a GGUF tensor made of one source, in its shape."""
    config = ModelConfig(architecture.replace("-", "_"), raw={"model_type": "any", **RAW, **raw})
    rows = transformed_rows(GgufTensor(f"blk.0.{name}", shape, ("a",), 0), [source], architecture, config)
    return torch.cat([rows.values(block) for _, block in rows.blocks(elements)]).reshape(shape)


@pytest.mark.parametrize("elements", [1, 50, 10**6])
def test_falcon_keeps_some_queries_with_their_key_and_value(elements):
    source = torch.randn(2 * (2 + 2) * 5, 7)  # two groups of two queries, heads of 5
    raw = {"num_kv_heads": 2, "new_decoder_architecture": True}
    found = read("falcon", "attn_qkv.weight", source.shape, source, elements, **raw)
    heads = source.split(5)  # q0 q1 k v, q2 q3 k v
    assert torch.equal(found, torch.cat([heads[i] for i in (0, 1, 4, 5, 2, 6, 3, 7)]))


@pytest.mark.parametrize("architecture", ["bloom", "starcoder"])
def test_query_key_and_value_of_a_head_are_taken_apart(architecture):
    source = torch.randn(4 * 3 * 5, 7)
    found = read(architecture, "attn_qkv.weight", source.shape, source, 50, multi_query=False)
    heads = source.split(5)  # q0 k0 v0, q1 k1 v1, ...
    assert torch.equal(found, torch.cat([heads[3 * head + part] for part in range(3) for head in range(4)]))


def test_queries_that_share_one_key_stay_in_their_order():
    source = torch.randn((4 + 2) * 5, 7)
    assert torch.equal(read("starcoder", "attn_qkv.weight", source.shape, source), source)


MULTIPLIERS = {
    "hidden_size": 7,
    "mamba_d_ssm": 6,
    "mamba_n_heads": 3,
    "mamba_d_head": 2,
    "mamba_d_state": 4,
    "mamba_n_groups": 2,
    "embedding_multiplier": 2.0,
    "lm_head_multiplier": 3.0,
    "mlp_multipliers": [5.0, 7.0],
    "key_multiplier": 11.0,
    "attention_in_multiplier": 13.0,
    "attention_out_multiplier": 17.0,
    "ssm_in_multiplier": 19.0,
    "ssm_out_multiplier": 23.0,
    "ssm_multipliers": [2.0, 3.0, 5.0, 7.0, 11.0],
}


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        *(("attn_q", 13), ("attn_k", 143), ("attn_v", 13), ("attn_output", 17), ("attn_norm", 1)),
        *(("ffn_gate", 5), ("ffn_up", 1), ("ffn_down", 7), ("ssm_out", 23), ("ssm_conv1d", 1)),
    ],
)
def test_multipliers_of_falcon_h1_are_in_its_weights(name, factor):
    source = torch.randn(5, 7).bfloat16()
    found = read("falcon-h1", f"{name}.weight", (5, 7), source, 8, **MULTIPLIERS)
    assert torch.equal(found, source.float() * factor)


@pytest.mark.parametrize("elements", [1, 10**6])
def test_each_part_of_falcon_h1s_projection_has_its_own_multiplier(elements):
    sizes = [6, 6, 8, 8, 3]
    source = torch.randn(sum(sizes), 7)
    found = read("falcon-h1", "ssm_in.weight", source.shape, source, elements, **MULTIPLIERS)
    factors = [19.0 * own for own in MULTIPLIERS["ssm_multipliers"]]
    parts = zip(source.split(sizes), factors, strict=True)
    assert torch.equal(found, torch.cat([part * factor for part, factor in parts]))


def test_a_projection_of_another_height_is_refused():
    with pytest.raises(UserError, match="do not fit"):
        read("falcon-h1", "ssm_in.weight", (9, 7), torch.zeros(9, 7), **MULTIPLIERS)


def test_multipliers_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match="must be a number"):
        read("falcon-h1", "attn_q.weight", (5, 7), torch.zeros(5, 7), **{**MULTIPLIERS, "attention_in_multiplier": "2"})


@pytest.mark.parametrize("elements", [1, 10**6])
def test_latent_keys_and_values_of_each_head(elements):
    source = torch.randn(4 * (3 + 2), 6)
    keys = read("deepseek2", "attn_k_b.weight", (4, 6, 3), source, elements)
    values = read("deepseek2", "attn_v_b.weight", (4, 2, 6), source, elements)
    for head, part in enumerate(source.split(5)):
        assert torch.equal(keys[head], part[:3].T)
        assert torch.equal(values[head], part[3:])


@pytest.mark.parametrize("elements", [1, 10**6])
def test_experts_of_gpt_oss_alternate_gate_and_up(elements):
    source = torch.randn(3, 6, 8)
    gate = read("gpt-oss", "ffn_gate_exps.weight", (3, 4, 6), source, elements)
    up = read("gpt-oss", "ffn_up_exps.weight", (3, 4, 6), source, elements)
    assert torch.equal(gate, source[:, :, ::2].transpose(1, 2))
    assert torch.equal(up, source[:, :, 1::2].transpose(1, 2))
    bias = torch.randn(3, 8)
    assert torch.equal(read("gpt-oss", "ffn_up_exps.bias", (3, 4), bias, elements), bias[:, 1::2])


def test_halves_are_gate_and_up():
    source = torch.randn(3, 8, 6)
    assert torch.equal(read("granitemoe", "ffn_gate_exps.weight", (3, 4, 6), source), source[:, :4])
    assert torch.equal(read("granitemoe", "ffn_up_exps.weight", (3, 4, 6), source), source[:, 4:])


def test_experts_of_qwen3_vl_are_read_whichever_way_they_are_stored():
    gate_up, down = torch.randn(3, 8, 6), torch.randn(3, 6, 4)
    for both, back in ((gate_up, down), (gate_up.transpose(1, 2), down.transpose(1, 2))):
        gate = read("qwen3vlmoe", "ffn_gate_exps.weight", (3, 4, 6), both, hidden_size=6)
        up = read("qwen3vlmoe", "ffn_up_exps.weight", (3, 4, 6), both, hidden_size=6)
        assert torch.equal(torch.cat([gate, up], 1), gate_up)
        assert torch.equal(read("qwen3vlmoe", "ffn_down_exps.weight", (3, 6, 4), back, hidden_size=6), down)


TILED = [0, 3, 1, 4, 2, 5]  # value heads 0, 1, 2 share key head 0


@pytest.mark.parametrize("elements", [1, 10**6])
def test_value_heads_of_linear_attention_are_tiled(elements):
    gate = torch.randn(6 * 3, 4)
    expected = torch.cat([gate.split(3)[head] for head in TILED])
    assert torch.equal(read("qwen35", "attn_gate.weight", gate.shape, gate, elements), expected)
    out = torch.randn(4, 6 * 3)
    expected = torch.cat([out.split(3, dim=1)[head] for head in TILED], dim=1)
    assert torch.equal(read("qwen35", "ssm_out.weight", out.shape, out, elements), expected)
    qkv = torch.randn(2 * 2 * 2 + 18, 4)
    expected = torch.cat([qkv[:8], *(qkv[8:].split(3)[head] for head in TILED)])
    assert torch.equal(read("qwen35", "attn_qkv.weight", qkv.shape, qkv, elements), expected)
    decay = torch.randn(6)
    assert torch.equal(read("qwen35", "ssm_a", (6,), decay, elements), -decay[TILED].exp())


@pytest.mark.parametrize("elements", [1, 10**6])
def test_qwen3_next_keeps_everything_of_a_key_head_together(elements):
    width = 2 + 2 + 9 + 9  # query, key, values, gates
    source = torch.randn(2 * width, 4)
    parts = [head.split([2, 2, 9, 9]) for head in source.split(width)]
    expected = torch.cat([part[i] for i in range(3) for part in parts])
    assert torch.equal(read("qwen3next", "attn_qkv.weight", (26, 4), source, elements), expected)
    gates = torch.cat([part[3] for part in parts])
    assert torch.equal(read("qwen3next", "attn_gate.weight", (18, 4), source, elements), gates)


def test_norms_that_are_stored_less_one_and_those_that_are_not():
    norm = torch.randn(4)
    assert torch.equal(read("qwen35", "attn_norm.weight", (4,), norm), norm + 1)
    assert torch.equal(read("qwen35", "ssm_norm.weight", (4,), norm), norm)
    assert torch.equal(read("nemotron", "attn_norm.bias", (4,), norm), norm)


def test_gemma_3n_has_no_text_behind_its_second_embedding():
    source = torch.randn(8, 4)
    assert torch.equal(read("gemma3n", "token_embd.weight", (5, 4), source), source[:5])


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("falcon", "attn_qkv"),
        ("bloom", "attn_qkv"),
        ("deepseek2", "attn_k_b"),
        ("qwen35", "attn_gate"),
        ("qwen3next", "attn_gate"),
    ],
)
def test_rows_that_do_not_fit_the_heads_are_refused(architecture, name):
    with pytest.raises(UserError, match="do not fit"):
        read(architecture, f"{name}.weight", (7, 4), torch.zeros(7, 4), multi_query=True)
