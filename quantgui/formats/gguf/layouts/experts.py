"""Mixtures of experts with plain or latent attention in every layer."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts._layout import Layout, Shape, Split
from quantgui.formats.gguf.layouts._parts import (
    EXPERTS,
    LLAMA,
    MIXTRAL_EXPERTS,
    PER_LAYER_INPUTS,
    POST_NORMS,
    QWEN_MOE,
    down_either_way,
    down_inputs_first,
    gate_up_either_way,
    gate_up_inputs_first,
    gate_up_outputs_first,
    latent_key_value,
    renamed,
    shared_down,
    shared_gate_up,
)
from quantgui.types import ModelConfig

_DEEPSEEK: Mapping[str, str] = {
    **LLAMA,
    "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}
_INDEXER: Mapping[str, str] = {
    "self_attn.indexer.wq_b": "indexer.attn_q_b",
    "self_attn.indexer.wk": "indexer.attn_k",
    "self_attn.indexer.k_norm": "indexer.k_norm",
    "self_attn.indexer.weights_proj": "indexer.proj",
}
_SHARED: Mapping[str, str] = {**{key: name for key, name in _DEEPSEEK.items() if key.startswith("mlp.")}, **LLAMA}
_GLM4_MOE: Mapping[str, str] = {**_SHARED, "post_attention_layernorm": "post_attention_norm"}
_GPT_OSS: Mapping[str, str] = {
    **LLAMA,
    "post_attention_layernorm": "post_attention_norm",
    "mlp.router": "ffn_gate_inp",
}
_MIXTRAL: Mapping[str, str] = {**LLAMA, "block_sparse_moe.gate": "ffn_gate_inp"}
_GRANITE_MOE: Mapping[str, str] = {
    **LLAMA,
    "block_sparse_moe.router.layer": "ffn_gate_inp",
    "block_sparse_moe.output_linear": "ffn_down_exps",
}
_LLAMA4: Mapping[str, str] = {
    **LLAMA,
    "feed_forward.gate_proj": "ffn_gate",
    "feed_forward.up_proj": "ffn_up",
    "feed_forward.down_proj": "ffn_down",
    "feed_forward.router": "ffn_gate_inp",
    "feed_forward.shared_expert.gate_proj": "ffn_gate_shexp",
    "feed_forward.shared_expert.up_proj": "ffn_up_shexp",
    "feed_forward.shared_expert.down_proj": "ffn_down_shexp",
}
_GEMMA4: Mapping[str, str] = {
    **LLAMA,
    **POST_NORMS,
    **PER_LAYER_INPUTS,
    "router.proj": "ffn_gate_inp",
    "pre_feedforward_layernorm_2": "pre_ffw_norm_2",
    "post_feedforward_layernorm_1": "post_ffw_norm_1",
    "post_feedforward_layernorm_2": "post_ffw_norm_2",
}
_STEP3: Mapping[str, str] = {
    **LLAMA,
    "self_attn.g_proj": "attn_gate",
    "moe.gate": "ffn_gate_inp",
    "moe.gate_proj": "ffn_gate_exps",
    "moe.up_proj": "ffn_up_exps",
    "moe.down_proj": "ffn_down_exps",
    "share_expert.gate_proj": "ffn_gate_shexp",
    "share_expert.up_proj": "ffn_up_shexp",
    "share_expert.down_proj": "ffn_down_shexp",
}


def _packed_gate_up(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """OpenAI's MXFP4 blocks [experts, rows, groups, 16 bytes]: two weights a byte."""
    experts, both, groups, packed = shape
    return gate_up_outputs_first((experts, both, groups * packed * 2), config)


def _packed_down(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    experts, hidden, groups, packed = shape
    return (("ffn_down_exps.weight", (experts, hidden, groups * packed * 2)),)


def _gate_up_bias(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    return tuple((f"ffn_{part}_exps.bias", (shape[0], shape[1] // 2)) for part in ("gate", "up"))


_LATENT_SPLITS: Mapping[str, Split] = {
    "self_attn.kv_b_proj.weight": latent_key_value,
    "mlp.gate.e_score_correction_bias": renamed("exp_probs_b.bias"),
}
_GPT_OSS_SPLITS: Mapping[str, Split] = {
    "self_attn.sinks": renamed("attn_sinks.weight"),
    "mlp.experts.gate_up_proj": gate_up_inputs_first,
    "mlp.experts.gate_up_proj_blocks": _packed_gate_up,
    "mlp.experts.gate_up_proj_bias": _gate_up_bias,
    "mlp.experts.down_proj": down_inputs_first,
    "mlp.experts.down_proj_blocks": _packed_down,
    "mlp.experts.down_proj_bias": renamed("ffn_down_exps.bias"),
}
_GEMMA4_SPLITS: Mapping[str, Split] = {
    "experts.gate_up_proj": renamed("ffn_gate_up_exps.weight"),
    "experts.down_proj": renamed("ffn_down_exps.weight"),
    "router.scale": renamed("ffn_gate_inp.scale"),
    "router.per_expert_scale": renamed("ffn_down_exps.scale"),
    "layer_scalar": renamed("layer_output_scale.weight"),
}
_INPUTS_FIRST: Mapping[str, Split] = {
    "experts.gate_up_proj": gate_up_inputs_first,
    "experts.down_proj": down_inputs_first,
}
_BIASED_ROUTER: Mapping[str, Split] = {"mlp.gate.e_score_correction_bias": renamed("exp_probs_b.bias")}
_ERNIE_SPLITS: Mapping[str, Split] = {
    "mlp.moe_statics.e_score_correction_bias": lambda shape, config: (("exp_probs_b.bias", shape[1:]),)
}
_GRANITE_SHARED: Mapping[str, Split] = {
    "block_sparse_moe.input_linear.weight": gate_up_outputs_first,
    "shared_mlp.input_linear.weight": shared_gate_up,
    "shared_mlp.output_linear.weight": shared_down,
}
_MINIMAX_SPLITS: Mapping[str, Split] = {
    "block_sparse_moe.e_score_correction_bias": renamed("exp_probs_b.bias"),
}

_DEEPSEEK2 = Layout("deepseek2", _DEEPSEEK, EXPERTS, _LATENT_SPLITS, drops_tied_head=True)
_GEMMA4_LAYOUT = Layout("gemma4", _GEMMA4, splits=_GEMMA4_SPLITS, drops_tied_head=True)
_LLAMA4_LAYOUT = Layout("llama4", _LLAMA4, splits={f"feed_forward.{k}": split for k, split in _INPUTS_FIRST.items()})
_QWEN3_VL_MOE = Layout(
    "qwen3vlmoe",
    QWEN_MOE,
    EXPERTS,
    {"mlp.experts.gate_up_proj": gate_up_either_way, "mlp.experts.down_proj": down_either_way},
)
_STEP35 = Layout("step35", _STEP3, splits={"moe.router_bias": renamed("exp_probs_b.bias")})

LAYOUTS: Mapping[str, Layout] = {
    "deepseek_v2": _DEEPSEEK2,
    "deepseek_v3": _DEEPSEEK2,
    "deepseek_v32": Layout("deepseek32", {**_DEEPSEEK, **_INDEXER}, EXPERTS, _LATENT_SPLITS, drops_tied_head=True),
    "dots1": Layout("dots1", _SHARED, EXPERTS, _BIASED_ROUTER),
    "ernie4_5_moe": Layout("ernie4_5-moe", _SHARED, EXPERTS, _ERNIE_SPLITS),
    "gemma4": _GEMMA4_LAYOUT,
    "gemma4_text": _GEMMA4_LAYOUT,
    "glm4_moe": Layout("glm4moe", _GLM4_MOE, EXPERTS, _BIASED_ROUTER),
    "glm4_moe_lite": _DEEPSEEK2,
    "glm_moe_dsa": Layout("glm-dsa", {**_DEEPSEEK, **_INDEXER}, EXPERTS, _LATENT_SPLITS),
    "gpt_oss": Layout("gpt-oss", _GPT_OSS, splits=_GPT_OSS_SPLITS),
    "granitemoe": Layout(
        "granitemoe", _GRANITE_MOE, splits={"block_sparse_moe.input_linear.weight": gate_up_outputs_first}
    ),
    "granitemoeshared": Layout("granitemoe", _GRANITE_MOE, splits=_GRANITE_SHARED),
    "kimi_k2": _DEEPSEEK2,
    "kimi_k25": _DEEPSEEK2,
    "llama4": _LLAMA4_LAYOUT,
    "llama4_text": _LLAMA4_LAYOUT,
    "mimo_v2_flash": Layout(
        "mimo2", _SHARED, EXPERTS, {**_BIASED_ROUTER, "self_attn.attention_sink_bias": renamed("attn_sinks.weight")}
    ),
    "minimax_m2": Layout("minimax-m2", _MIXTRAL, MIXTRAL_EXPERTS, _MINIMAX_SPLITS),
    "mixtral": Layout("llama", _MIXTRAL, MIXTRAL_EXPERTS),
    "olmoe": Layout("olmoe", QWEN_MOE, EXPERTS),
    "phimoe": Layout("phimoe", _MIXTRAL, MIXTRAL_EXPERTS),
    "qwen2_moe": Layout("qwen2moe", QWEN_MOE, EXPERTS),
    "qwen3_moe": Layout("qwen3moe", QWEN_MOE, EXPERTS),
    "qwen3_vl_moe": _QWEN3_VL_MOE,
    "qwen3_vl_moe_text": _QWEN3_VL_MOE,
    "step3p5": _STEP35,
    "step3p7": _STEP35,
    "step3p7_text": _STEP35,
}
"""`model_type` of config.json -> how llama.cpp stores it."""
