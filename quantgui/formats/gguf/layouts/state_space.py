"""Mamba, alone and beside attention, and short convolutions."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts._layout import Layout, Shape, Split
from quantgui.formats.gguf.layouts._parts import (
    LLAMA,
    column,
    convolution,
    gate_up_outputs_first,
    grouped_norm,
    renamed,
    shared_down,
    shared_gate_up,
)
from quantgui.types import ModelConfig

_JAMBA: Mapping[str, str] = {
    **LLAMA,
    "mamba.in_proj": "ssm_in",
    "mamba.x_proj": "ssm_x",
    "mamba.dt_proj": "ssm_dt",
    "mamba.dt_layernorm": "ssm_dt_norm",
    "mamba.b_layernorm": "ssm_b_norm",
    "mamba.c_layernorm": "ssm_c_norm",
    "mamba.out_proj": "ssm_out",
    "pre_ff_layernorm": "ffn_norm",
    "feed_forward.gate_proj": "ffn_gate",
    "feed_forward.up_proj": "ffn_up",
    "feed_forward.down_proj": "ffn_down",
    "feed_forward.router": "ffn_gate_inp",
}
_JAMBA_EXPERTS: Mapping[str, str] = {
    f"feed_forward.experts.*.{part}_proj": f"ffn_{part}_exps" for part in ("gate", "up", "down")
}
_GRANITE: Mapping[str, str] = {
    **LLAMA,
    "mamba.in_proj": "ssm_in",
    "mamba.out_proj": "ssm_out",
    "block_sparse_moe.router.layer": "ffn_gate_inp",
    "block_sparse_moe.output_linear": "ffn_down_exps",
}
_FALCON_H1: Mapping[str, str] = {
    **LLAMA,
    "mamba.in_proj": "ssm_in",
    "mamba.out_proj": "ssm_out",
    "feed_forward.gate_proj": "ffn_gate",
    "feed_forward.up_proj": "ffn_up",
    "feed_forward.down_proj": "ffn_down",
}
_LFM2: Mapping[str, str] = {
    "operator_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "conv.in_proj": "shortconv.in_proj",
    "conv.out_proj": "shortconv.out_proj",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_output",
    "self_attn.q_layernorm": "attn_q_norm",
    "self_attn.k_layernorm": "attn_k_norm",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
    "feed_forward.gate": "ffn_gate_inp",
}
_LFM2_EXPERTS: Mapping[str, str] = {
    "feed_forward.experts.*.w1": "ffn_gate_exps",
    "feed_forward.experts.*.w2": "ffn_down_exps",
    "feed_forward.experts.*.w3": "ffn_up_exps",
}
_MIXER: Mapping[str, str] = {
    "norm": "attn_norm",
    "mixer.in_proj": "ssm_in",
    "mixer.x_proj": "ssm_x",
    "mixer.dt_proj": "ssm_dt",
    "mixer.out_proj": "ssm_out",
}


def _short_convolution(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    return (("shortconv.conv.weight", (shape[0], shape[-1])),)


def _mamba1(module: str) -> dict[str, Split]:
    """The first Mamba: a decay per channel and state."""
    return {
        f"{module}.conv1d.weight": convolution,
        f"{module}.conv1d.bias": renamed("ssm_conv1d.bias"),
        f"{module}.A_log": renamed("ssm_a"),
        f"{module}.D": renamed("ssm_d"),
    }


def _mamba2(module: str, groups: str) -> dict[str, Split]:
    """The second: a decay per head; `groups` is config.json's name for the number of groups."""
    return {
        f"{module}.conv1d.weight": convolution,
        f"{module}.conv1d.bias": renamed("ssm_conv1d.bias"),
        f"{module}.A_log": column("ssm_a"),
        f"{module}.D": column("ssm_d"),
        f"{module}.dt_bias": renamed("ssm_dt.bias"),
        f"{module}.norm.weight": grouped_norm(groups),
    }


_GRANITE_SPLITS: Mapping[str, Split] = {
    **_mamba2("mamba", "mamba_n_groups"),
    "block_sparse_moe.input_linear.weight": gate_up_outputs_first,
    "shared_mlp.input_linear.weight": shared_gate_up,
    "shared_mlp.output_linear.weight": shared_down,
}
_FALCON_H1_SPLITS: Mapping[str, Split] = {
    **_mamba2("mamba", "mamba_n_groups"),
    "pre_ff_layernorm.weight": renamed("ffn_norm"),  # this architecture alone leaves the suffix away
}
_LFM2_SPLITS: Mapping[str, Split] = {
    "conv.conv.weight": _short_convolution,
    "feed_forward.expert_bias": renamed("exp_probs_b.bias"),
}
_MAMBA = Layout("mamba", _MIXER, splits=_mamba1("mixer"))

LAYOUTS: Mapping[str, Layout] = {
    "falcon_h1": Layout("falcon-h1", _FALCON_H1, splits=_FALCON_H1_SPLITS),
    "falcon_mamba": _MAMBA,
    "granitemoehybrid": Layout("granitehybrid", _GRANITE, splits=_GRANITE_SPLITS, kv_heads_by_layer=True),
    "jamba": Layout("jamba", _JAMBA, _JAMBA_EXPERTS, _mamba1("mamba"), kv_heads_by_layer=True),
    "lfm2": Layout("lfm2", _LFM2, splits=_LFM2_SPLITS, kv_heads_by_layer=True),
    "lfm2_moe": Layout("lfm2moe", _LFM2, _LFM2_EXPERTS, _LFM2_SPLITS, kv_heads_by_layer=True),
    "mamba": _MAMBA,
    "mamba2": Layout("mamba2", _MIXER, splits=_mamba2("mixer", "n_groups")),
}
"""`model_type` of config.json -> how llama.cpp stores it."""
