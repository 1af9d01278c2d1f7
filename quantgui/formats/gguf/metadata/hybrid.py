"""Keys of models with attention in some layers, and linear attention, a state space or a convolution in the others."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys, lfm2, nemotron_h
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, f32, flag, u32
from quantgui.formats.gguf.metadata._shared import (
    Builder,
    Gating,
    dense_keys,
    expert_keys,
    granite_scales,
    head_keys,
    number,
    one_or_each,
    refuse_unless,
    rms_epsilon,
    rotated_dimensions,
    size_keys,
    ssm_keys,
    time_is_unlimited,
)
from quantgui.formats.gguf.metadata.rope import rope_keys, rope_of

NEMOTRON_EPSILON = 1e-5
LFM2_THETA = 1_000_000.0
DELTA_SHARE = 0.25
"""Part of a head that is rotated where the config does not state it."""
MROPE_SECTIONS = (11, 11, 10)
"""Pairs of dimensions that a picture's time, height and width turn, where the config does not state them."""


def _delta_net(keys: Keys, prefix: str) -> list[KeyValue]:
    """Gated delta nets in all layers but every n-th."""
    rope = rope_of(keys)
    values = keys.size("linear_num_value_heads")
    return [
        *dense_keys(keys, prefix),
        *head_keys(keys, prefix),
        u32(f"{prefix}.rope.dimension_count", rotated_dimensions(keys, rope, DELTA_SHARE)),
        *ssm_keys(
            prefix,
            kernel=keys.size("linear_conv_kernel_dim"),
            state=keys.size("linear_key_head_dim"),
            groups=keys.size("linear_num_key_heads"),
            inner=keys.size("linear_value_head_dim") * values,
            rank=values,
        ),
        u32(f"{prefix}.full_attention_interval", _full_interval(keys)),
    ]


def _full_interval(keys: Keys) -> int:
    """Every how many layers one has full attention. Raises UserError where they are not evenly spread."""
    kinds = keys.kinds()
    if kinds is None:
        return keys.size("full_attention_interval", default=4)
    interval = kinds.index("full_attention") + 1 if "full_attention" in kinds else len(kinds) + 1
    spread = tuple("linear_attention" if (i + 1) % interval else "full_attention" for i in range(keys.layers))
    refuse_unless(kinds == spread, "another order of layers with full attention (layer_types)")
    return interval


def _delta_experts(keys: Keys, prefix: str) -> list[KeyValue]:
    every_layer = keys.size("decoder_sparse_step", default=1) == 1 and not keys.sequence("mlp_only_layers")
    refuse_unless(every_layer, "layers without experts (decoder_sparse_step, mlp_only_layers)")
    refuse_unless(keys.flag("norm_topk_prob", True), "experts whose weights are not normalized (norm_topk_prob)")
    return [
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")),
        u32(f"{prefix}.expert_shared_feed_forward_length", keys.size("shared_expert_intermediate_size")),
    ]


def _qwen3_next(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*_delta_net(keys, prefix), *_delta_experts(keys, prefix)]


def _qwen35(keys: Keys, prefix: str) -> list[KeyValue]:
    """Text alone: its three positions are one and the same."""
    sections = rope_of(keys).settings.get("mrope_section") or MROPE_SECTIONS
    return [*_delta_net(keys, prefix), array_of(f"{prefix}.rope.dimension_sections", ValueKind.INT32, [*sections, 0])]


def _qwen35_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*_qwen35(keys, prefix), *_delta_experts(keys, prefix)]


def _lfm2(keys: Keys, prefix: str) -> list[KeyValue]:
    """Short convolutions in the layers without attention, which llama.cpp tells by their missing KV heads."""
    refuse_unless(not keys.flag("conv_bias", False), "biases of convolutions (conv_bias)")
    attends = lfm2.attention_layers(keys)
    kv_heads = [keys.kv_heads if layer in attends else 0 for layer in range(keys.layers)]
    return [
        *size_keys(keys, prefix, inner=lfm2.inner_size(keys), kv_heads=kv_heads),
        rms_epsilon(keys, prefix),
        *rope_keys(keys, prefix, rope_of(keys, LFM2_THETA)),
        u32(f"{prefix}.vocab_size", keys.vocab),
        u32(f"{prefix}.shortconv.l_cache", keys.size("conv_L_cache", default=3)),
    ]


def _lfm2_moe(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = keys.flag("norm_topk_prob", True) and (number(keys, "routed_scaling_factor") or 1.0) == 1.0
    refuse_unless(plain and keys.flag("use_expert_bias", True), "other weights of the chosen experts")
    return [
        *_lfm2(keys, prefix),
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")),
        u32(f"{prefix}.leading_dense_block_count", keys.count("num_dense_layers", 2)),
        u32(f"{prefix}.expert_gating_func", Gating.SIGMOID),
    ]


def _granite_hybrid(keys: Keys, prefix: str) -> list[KeyValue]:
    """Mamba-2 in the layers without attention, which llama.cpp tells by their missing KV heads."""
    positions = keys.value("position_embedding_type")
    refuse_unless(positions in ("rope", "nope", None), f"positions of the kind “{positions}”")
    refuse_unless(keys.size("mamba_n_groups", default=1) == 1, "one norm for several groups (mamba_n_groups)")
    refuse_unless(time_is_unlimited(keys), "limited steps of time (time_step_limit)")
    kinds = keys.kinds() or keys.kinds("layers_block_type") or ("mamba",) * keys.layers
    experts = keys.count("num_local_experts")
    shared = keys.count("shared_intermediate_size", 1024)
    made = [
        *size_keys(
            keys,
            prefix,
            inner=None if experts else shared,
            kv_heads=[0 if kind in ("mamba", "linear_attention") else keys.kv_heads for kind in kinds],
        ),
        rms_epsilon(keys, prefix),
        *rope_keys(keys, prefix, rope_of(keys)),
        *head_keys(keys, prefix),
        *granite_scales(keys, prefix),
        u32(f"{prefix}.vocab_size", keys.vocab),
        u32(f"{prefix}.rope.dimension_count", keys.head_dim()),
        flag(f"{prefix}.rope.scaling.finetuned", positions == "rope"),  # how llama.cpp asks whether there are any
        *ssm_keys(
            prefix,
            kernel=keys.size("mamba_d_conv", default=4),
            state=keys.size("mamba_d_state", default=256),
            groups=1,
            inner=keys.size("mamba_expand", default=2) * keys.hidden,
            rank=keys.size("mamba_n_heads", default=128),
        ),
    ]
    if not experts:
        return made
    return [*made, *expert_keys(keys, prefix), u32(f"{prefix}.expert_shared_feed_forward_length", shared)]


def _nemotron_h(keys: Keys, prefix: str) -> list[KeyValue]:
    """Each layer is one thing: llama.cpp tells Mamba-2 by having neither KV heads nor a width."""
    refuse_unless(time_is_unlimited(keys), "limited steps of time (time_step_limit)")
    kinds = nemotron_h.layer_kinds(keys)
    refuse_unless(not {"mlp", "moe"} <= set(kinds), "layers with experts and layers without them")
    heads, width = keys.size("mamba_num_heads"), nemotron_h.attention_width(keys)
    inner = {"mlp": "intermediate_size", "moe": "moe_intermediate_size"}
    epsilon = number(keys, "layer_norm_epsilon") or NEMOTRON_EPSILON
    made = [
        u32(f"{prefix}.block_count", len(kinds)),
        u32(f"{prefix}.context_length", keys.size("max_position_embeddings")),
        u32(f"{prefix}.embedding_length", keys.hidden),
        u32(f"{prefix}.vocab_size", keys.vocab),
        one_or_each(f"{prefix}.feed_forward_length", [keys.size(inner[k]) if k in inner else 0 for k in kinds]),
        u32(f"{prefix}.attention.head_count", keys.heads),
        one_or_each(f"{prefix}.attention.head_count_kv", [keys.kv_heads if k == "attention" else 0 for k in kinds]),
        u32(f"{prefix}.attention.key_length", width),
        u32(f"{prefix}.attention.value_length", width),
        f32(f"{prefix}.attention.layer_norm_epsilon", epsilon),
        f32(f"{prefix}.attention.layer_norm_rms_epsilon", epsilon),
        u32(f"{prefix}.rope.dimension_count", width),
        *ssm_keys(
            prefix,
            kernel=keys.size("conv_kernel", default=4),
            state=keys.size("ssm_state_size"),
            groups=keys.size("n_groups", default=8),
            inner=heads * keys.size("mamba_head_dim"),
            rank=heads,
        ),
    ]
    return made + (_nemotron_experts(keys, prefix) if "moe" in kinds else [])


def _nemotron_experts(keys: Keys, prefix: str) -> list[KeyValue]:
    inner, shared = keys.size("moe_intermediate_size"), keys.count("n_shared_experts", 1)
    latent, groups = keys.optional("moe_latent_size"), keys.size("n_group", default=1)
    width = keys.size("moe_shared_expert_intermediate_size", default=2 * inner)
    made = [
        *expert_keys(keys, prefix),
        u32(f"{prefix}.expert_feed_forward_length", inner),
        u32(f"{prefix}.expert_shared_feed_forward_length", shared * width),
        u32(f"{prefix}.expert_shared_count", shared),
        u32(f"{prefix}.expert_gating_func", Gating.SIGMOID),
        f32(f"{prefix}.expert_weights_scale", number(keys, "routed_scaling_factor") or 1.0),
        flag(f"{prefix}.expert_weights_norm", keys.flag("norm_topk_prob", True)),
        u32(f"{prefix}.expert_group_count", groups),
        u32(f"{prefix}.expert_group_used_count", keys.size("topk_group", default=1)),
    ]
    return [*made, u32(f"{prefix}.moe_latent_size", latent)] if latent else made


BUILDERS: Mapping[str, Builder] = {
    "granitehybrid": _granite_hybrid,
    "lfm2": _lfm2,
    "lfm2moe": _lfm2_moe,
    "nemotron_h_moe": _nemotron_h,
    "qwen35": _qwen35,
    "qwen35moe": _qwen35_moe,
    "qwen3next": _qwen3_next,
}
"""general.architecture -> its keys."""
