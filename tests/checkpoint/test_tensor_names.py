from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.checkpoint.catalogue import catalogue
from quantgui.checkpoint.tensor_names import describe
from quantgui.types import Role

E, H, N, A, M, X, R, S, O = (  # noqa: E741
    Role.EMBEDDING,
    Role.HEAD,
    Role.NORM,
    Role.ATTENTION,
    Role.MLP,
    Role.EXPERT,
    Role.ROUTER,
    Role.STATE,
    Role.OTHER,
)

NAMES: dict[str, tuple[int, Role, int | None, str]] = {
    # Llama, Mistral, Qwen, Gemma, Phi-3
    "model.embed_tokens.weight": (2, E, None, "embed"),
    "model.layers.12.self_attn.q_proj.weight": (2, A, 12, "attn.q"),
    "model.layers.12.self_attn.q_proj.bias": (1, A, 12, "attn.q bias"),
    "model.layers.0.self_attn.o_proj.weight": (2, A, 0, "attn.o"),
    "model.layers.0.self_attn.qkv_proj.weight": (2, A, 0, "attn.qkv"),
    "model.layers.0.self_attn.q_norm.weight": (1, N, 0, "q norm"),
    "model.layers.0.mlp.gate_proj.weight": (2, M, 0, "mlp.gate"),
    "model.layers.0.mlp.up_proj.weight": (2, M, 0, "mlp.up"),
    "model.layers.0.mlp.down_proj.weight": (2, M, 0, "mlp.down"),
    "model.layers.0.mlp.gate_up_proj.weight": (2, M, 0, "mlp.gate_up"),
    "model.layers.0.input_layernorm.weight": (1, N, 0, "attn norm"),
    "model.layers.0.post_attention_layernorm.weight": (1, N, 0, "post-attn norm"),
    "model.layers.0.pre_feedforward_layernorm.weight": (1, N, 0, "mlp norm"),
    "model.layers.0.post_feedforward_layernorm.weight": (1, N, 0, "post-mlp norm"),
    "model.layers.0.self_attn.rotary_emb.inv_freq": (1, O, 0, "rope"),
    "model.norm.weight": (1, N, None, "final norm"),
    "lm_head.weight": (2, H, None, "head"),
    # GPT-2 and StarCoder
    "wte.weight": (2, E, None, "embed"),
    "transformer.wpe.weight": (2, E, None, "positions"),
    "h.3.attn.c_attn.weight": (2, A, 3, "attn.qkv"),
    "h.3.attn.c_proj.weight": (2, A, 3, "attn.o"),
    "h.3.attn.bias": (4, O, 3, "attn mask"),
    "h.3.mlp.c_fc.weight": (2, M, 3, "mlp.up"),
    "h.3.mlp.c_proj.bias": (1, M, 3, "mlp.down bias"),
    "h.3.ln_2.weight": (1, N, 3, "mlp norm"),
    "ln_f.bias": (1, N, None, "final norm bias"),
    # GPT-NeoX, Falcon, BLOOM, OPT, MPT, InternLM2
    "gpt_neox.embed_in.weight": (2, E, None, "embed"),
    "gpt_neox.layers.3.attention.query_key_value.weight": (2, A, 3, "attn.qkv"),
    "gpt_neox.layers.3.attention.dense.weight": (2, A, 3, "attn.o"),
    "gpt_neox.layers.3.mlp.dense_h_to_4h.weight": (2, M, 3, "mlp.up"),
    "gpt_neox.layers.3.mlp.dense_4h_to_h.bias": (1, M, 3, "mlp.down bias"),
    "embed_out.weight": (2, H, None, "head"),
    "transformer.h.0.self_attention.dense.weight": (2, A, 0, "attn.o"),
    "transformer.h.0.ln_attn.weight": (1, N, 0, "attn norm"),
    "model.decoder.embed_tokens.weight": (2, E, None, "embed"),
    "model.decoder.embed_positions.weight": (2, E, None, "positions"),
    "model.decoder.layers.1.self_attn.out_proj.weight": (2, A, 1, "attn.o"),
    "model.decoder.layers.1.fc1.weight": (2, M, 1, "mlp.up"),
    "model.decoder.layers.1.final_layer_norm.weight": (1, N, 1, "mlp norm"),
    "model.decoder.final_layer_norm.weight": (1, N, None, "final norm"),
    "transformer.blocks.0.norm_attn_norm.attn.Wqkv.weight": (2, A, 0, "attn.qkv"),
    "model.layers.0.attention.wqkv.weight": (2, A, 0, "attn.qkv"),
    "model.layers.0.attention.wo.weight": (2, A, 0, "attn.o"),
    "model.layers.0.feed_forward.w2.weight": (2, M, 0, "mlp.down"),
    "output.weight": (2, H, None, "head"),
    # BERT and its relatives, T5
    "bert.embeddings.word_embeddings.weight": (2, E, None, "embed"),
    "embeddings.position_embeddings.weight": (2, E, None, "positions"),
    "embeddings.token_type_embeddings.weight": (2, E, None, "token types"),
    "embeddings.position_ids": (2, O, None, "position ids"),
    "embeddings.LayerNorm.weight": (1, N, None, "embed norm"),
    "encoder.layer.0.attention.self.query.weight": (2, A, 0, "attn.q"),
    "encoder.layer.0.attention.output.dense.weight": (2, A, 0, "attn.o"),
    "encoder.layer.0.attention.output.LayerNorm.weight": (1, N, 0, "post-attn norm"),
    "encoder.layer.0.intermediate.dense.weight": (2, M, 0, "mlp.up"),
    "encoder.layer.0.output.dense.weight": (2, M, 0, "mlp.down"),
    "encoder.layer.0.output.LayerNorm.bias": (1, N, 0, "post-mlp norm bias"),
    "pooler.dense.weight": (2, O, None, "pooler"),
    "cls.predictions.decoder.weight": (2, H, None, "head"),
    "distilbert.transformer.layer.0.attention.q_lin.weight": (2, A, 0, "attn.q"),
    "layers.0.attn.Wo.weight": (2, A, 0, "attn.o"),
    "layers.0.mlp.Wo.weight": (2, M, 0, "mlp.down"),
    "encoder.block.0.layer.0.SelfAttention.q.weight": (2, A, 0, "encoder · attn.q"),
    "encoder.block.0.layer.1.DenseReluDense.wo.weight": (2, M, 0, "encoder · mlp.down"),
    "decoder.block.0.layer.1.EncDecAttention.k.weight": (2, A, 0, "cross.k"),
    "shared.weight": (2, E, None, "embed"),
    # latent attention
    "model.layers.3.self_attn.q_a_proj.weight": (2, A, 3, "attn.q_a"),
    "model.layers.3.self_attn.q_a_layernorm.weight": (1, N, 3, "q_a norm"),
    "model.layers.3.self_attn.kv_a_proj_with_mqa.weight": (2, A, 3, "attn.kv_a"),
    "model.layers.3.self_attn.kv_b_proj.weight": (2, A, 3, "attn.kv_b"),
    "model.layers.3.self_attn.indexer.wq_b.weight": (2, A, 3, "indexer.q_b"),
    # mixtures of experts
    "model.layers.3.mlp.experts.7.down_proj.weight": (2, X, 3, "expert 7 · down"),
    "model.layers.3.mlp.experts.7.down_proj.weight_scale_inv": (2, X, 3, "expert 7 · down scale"),
    "model.layers.3.mlp.shared_experts.up_proj.weight": (2, X, 3, "shared expert · up"),
    "model.layers.3.mlp.shared_expert_gate.weight": (2, R, 3, "shared expert · router"),
    "model.layers.3.mlp.gate.weight": (2, R, 3, "router"),
    "model.layers.3.mlp.gate.e_score_correction_bias": (1, R, 3, "router score bias"),
    "model.layers.0.block_sparse_moe.experts.3.w1.weight": (2, X, 0, "expert 3 · gate"),
    "model.layers.0.block_sparse_moe.experts.3.w2.weight": (2, X, 0, "expert 3 · down"),
    "model.layers.0.block_sparse_moe.experts.3.w3.weight": (2, X, 0, "expert 3 · up"),
    "model.layers.0.mlp.experts.gate_up_proj_blocks": (4, X, 0, "experts · gate_up"),
    "model.layers.0.mlp.experts.gate_up_proj_bias": (2, X, 0, "experts · gate_up bias"),
    "language_model.model.layers.0.feed_forward.experts.gate_up_proj": (3, X, 0, "experts · gate_up"),
    "model.layers.0.mlp.router.weight": (2, R, 0, "router"),
    "model.layers.0.self_attn.sinks": (1, A, 0, "attn.sinks"),
    # Mamba, Nemotron-H, linear attention
    "backbone.embeddings.weight": (2, E, None, "embed"),
    "backbone.layers.0.mixer.in_proj.weight": (2, S, 0, "ssm.in"),
    "backbone.layers.0.mixer.A_log": (2, S, 0, "ssm.a"),
    "backbone.layers.0.mixer.conv1d.weight": (3, S, 0, "ssm.conv"),
    "backbone.layers.0.mixer.dt_bias": (1, S, 0, "ssm.dt"),
    "backbone.layers.1.mixer.q_proj.weight": (2, A, 1, "attn.q"),
    "backbone.norm_f.weight": (1, N, None, "final norm"),
    "model.layers.0.linear_attn.out_proj.weight": (2, S, 0, "ssm.out"),
    # parts that do not read text
    "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight": (2, O, 0, "vision · attn.q"),
    "visual.blocks.0.attn.qkv.weight": (2, O, 0, "vision · attn.qkv"),
    "v.blk.0.attn_q.weight": (2, O, 0, "vision · attn.q"),
    "mtp.layers.0.mlp.up_proj.weight": (2, M, 0, "mtp · mlp.up"),
    # GGUF
    "token_embd.weight": (2, E, None, "embed"),
    "output_norm.weight": (1, N, None, "final norm"),
    "rope_freqs.weight": (1, O, None, "rope"),
    "blk.4.attn_q.weight": (2, A, 4, "attn.q"),
    "blk.4.attn_output.weight": (2, A, 4, "attn.o"),
    "blk.4.attn_norm.weight": (1, N, 4, "attn norm"),
    "blk.4.ffn_norm.weight": (1, N, 4, "mlp norm"),
    "blk.4.ffn_gate.weight": (2, M, 4, "mlp.gate"),
    "blk.4.ffn_down_exps.weight": (3, X, 4, "experts · down"),
    "blk.4.ffn_down_shexp.weight": (2, X, 4, "shared expert · down"),
    "blk.4.ffn_down.3.weight": (2, X, 4, "expert 3 · down"),
    "blk.4.ffn_gate_inp.weight": (2, R, 4, "router"),
    "blk.4.attn_kv_a_mqa.weight": (2, A, 4, "attn.kv_a"),
    "blk.4.ssm_conv1d.weight": (2, S, 4, "ssm.conv"),
    # what quantizers store beside the weight
    "model.layers.0.self_attn.q_proj.weight_packed": (2, A, 0, "attn.q"),
    "model.layers.0.self_attn.q_proj.weight_scale": (2, A, 0, "attn.q scale"),
    "model.layers.0.self_attn.q_proj.qzeros": (2, A, 0, "attn.q zero points"),
    "model.layers.0.self_attn.q_proj.g_idx": (1, A, 0, "attn.q g_idx"),
    "model.layers.0.self_attn.q_proj.weight.absmax": (1, A, 0, "attn.q absmax"),
    "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": (2, A, 0, "attn.q lora_A"),
    "something.else": (2, O, None, "something.else"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_field(name: str) -> None:
    ndim, role, layer, module = NAMES[name]
    told = describe(name, ndim)
    assert (told.role, told.layer, told.module) == (role, layer, module)


MIXING = re.compile(r"hc_(?:attn|ffn|head)_fn$")
"""Matrices that mix residual streams: small, and kept by their makers in full precision."""
FAMILIES = {entry.config.model_type: entry for entry in catalogue() if entry.supported}


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_short_names_are_unique_inside_a_layer(model_type: str) -> None:
    """The heat map's cells are (layer, module): two tensors in one cell would hide each other."""
    tensors = FAMILIES[model_type].checkpoint().tensors
    counts = Counter((tensor.layer, tensor.module) for tensor in tensors)
    assert counts.most_common(1)[0][1] == 1


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_every_matrix_of_a_known_family_has_a_role(model_type: str) -> None:
    tensors = FAMILIES[model_type].checkpoint().tensors
    unknown = [tensor.name for tensor in tensors if tensor.role is Role.OTHER and len(tensor.shape) > 1]
    assert [name for name in unknown if not MIXING.search(name)] == []


def test_a_matrix_is_never_a_norm() -> None:
    assert describe("model.layers.0.input_layernorm.weight", 2).role is not Role.NORM


@given(st.text(max_size=80), st.integers(0, 5))
def test_any_text_has_a_description(name: str, ndim: int) -> None:
    assert describe(name, ndim).role in Role


@given(st.integers(0, 9_999), st.integers(0, 999))
def test_layer_and_expert_numbers_come_through(layer: int, expert: int) -> None:
    told = describe(f"model.layers.{layer}.mlp.experts.{expert}.up_proj.weight", 2)
    assert (told.layer, told.module) == (layer, f"expert {expert} · up")
