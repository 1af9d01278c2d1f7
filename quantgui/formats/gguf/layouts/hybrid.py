"""Attention in some layers, linear attention or a state space in the others."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts._layout import Layout, Shape, Split
from quantgui.formats.gguf.layouts._parts import (
    EXPERTS,
    LLAMA,
    QWEN_MOE,
    column,
    convolution,
    gate_up_outputs_first,
    grouped_norm,
    renamed,
    whole_number,
)
from quantgui.types import ModelConfig

_DELTA_NET: Mapping[str, str] = {
    "post_attention_layernorm": "post_attention_norm",
    "linear_attn.in_proj_qkv": "attn_qkv",
    "linear_attn.in_proj_z": "attn_gate",
    "linear_attn.in_proj_a": "ssm_alpha",
    "linear_attn.in_proj_b": "ssm_beta",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.out_proj": "ssm_out",
}
_DELTA_NET_SPLITS: Mapping[str, Split] = {
    "linear_attn.conv1d.weight": convolution,
    "linear_attn.A_log": renamed("ssm_a"),
    "linear_attn.dt_bias": renamed("ssm_dt.bias"),
}
_FUSED_EXPERTS: Mapping[str, Split] = {
    "mlp.experts.gate_up_proj": gate_up_outputs_first,
    "mlp.experts.down_proj": renamed("ffn_down_exps.weight"),
}
_NEMOTRON_H: Mapping[str, str] = {
    "norm": "attn_norm",
    "mixer.in_proj": "ssm_in",
    "mixer.out_proj": "ssm_out",
    "mixer.q_proj": "attn_q",
    "mixer.k_proj": "attn_k",
    "mixer.v_proj": "attn_v",
    "mixer.o_proj": "attn_output",
    "mixer.up_proj": "ffn_up",
    "mixer.down_proj": "ffn_down",
    "mixer.gate": "ffn_gate_inp",
    "mixer.shared_experts.up_proj": "ffn_up_shexp",
    "mixer.shared_experts.down_proj": "ffn_down_shexp",
    "mixer.fc1_latent_proj": "ffn_latent_down",
    "mixer.fc2_latent_proj": "ffn_latent_up",
}
_NEMOTRON_H_EXPERTS: Mapping[str, str] = {
    "mixer.experts.*.up_proj": "ffn_up_exps",
    "mixer.experts.*.down_proj": "ffn_down_exps",
}
_NEMOTRON_H_SPLITS: Mapping[str, Split] = {
    "mixer.conv1d.weight": convolution,
    "mixer.conv1d.bias": renamed("ssm_conv1d.bias"),
    "mixer.A_log": column("ssm_a"),
    "mixer.D": column("ssm_d"),
    "mixer.dt_bias": renamed("ssm_dt.bias"),
    "mixer.norm.weight": grouped_norm("n_groups"),
    "mixer.gate.e_score_correction_bias": renamed("exp_probs_b.bias"),
}


def _query_key_value_gate(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """Qwen3-Next's four linear-attention inputs in one, taken apart into queries, keys, values and the gate."""
    gate = whole_number(config, "linear_num_value_heads") * whole_number(config, "linear_value_head_dim")
    return ("attn_qkv.weight", (shape[0] - gate, *shape[1:])), ("attn_gate.weight", (gate, *shape[1:]))


_QWEN3_NEXT: Mapping[str, str] = {
    **QWEN_MOE,
    "post_attention_layernorm": "post_attention_norm",
    "linear_attn.in_proj_ba": "ssm_ba",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.out_proj": "ssm_out",
}
_QWEN35 = Layout("qwen35", {**LLAMA, **_DELTA_NET}, splits=_DELTA_NET_SPLITS)
_QWEN35_MOE = Layout("qwen35moe", {**QWEN_MOE, **_DELTA_NET}, EXPERTS, {**_DELTA_NET_SPLITS, **_FUSED_EXPERTS})

LAYOUTS: Mapping[str, Layout] = {
    "nemotron_h": Layout(
        "nemotron_h_moe", _NEMOTRON_H, _NEMOTRON_H_EXPERTS, _NEMOTRON_H_SPLITS, kv_heads_by_layer=True
    ),
    "qwen3_next": Layout(
        "qwen3next",
        _QWEN3_NEXT,
        EXPERTS,
        {**_DELTA_NET_SPLITS, "linear_attn.in_proj_qkvz.weight": _query_key_value_gate},
    ),
    "qwen3_5": _QWEN35,
    "qwen3_5_text": _QWEN35,
    "qwen3_5_moe": _QWEN35_MOE,
    "qwen3_5_moe_text": _QWEN35_MOE,
}
"""`model_type` of config.json -> how llama.cpp stores it."""
