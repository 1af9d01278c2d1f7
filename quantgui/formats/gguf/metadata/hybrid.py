"""Keys of models with attention in some layers, and linear attention, a state space or a convolution in the others."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, u32
from quantgui.formats.gguf.metadata._shared import (
    Builder,
    dense_keys,
    expert_keys,
    head_keys,
    refuse_unless,
    rotated_dimensions,
)
from quantgui.formats.gguf.metadata.rope import rope_of

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
        u32(f"{prefix}.ssm.conv_kernel", keys.size("linear_conv_kernel_dim")),
        u32(f"{prefix}.ssm.state_size", keys.size("linear_key_head_dim")),
        u32(f"{prefix}.ssm.group_count", keys.size("linear_num_key_heads")),
        u32(f"{prefix}.ssm.time_step_rank", values),
        u32(f"{prefix}.ssm.inner_size", keys.size("linear_value_head_dim") * values),
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


BUILDERS: Mapping[str, Builder] = {
    "qwen35": _qwen35,
    "qwen35moe": _qwen35_moe,
    "qwen3next": _qwen3_next,
}
"""general.architecture -> its keys."""
