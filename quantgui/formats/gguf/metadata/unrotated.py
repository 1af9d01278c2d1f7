"""Keys of dense decoders whose positions are learned, or distances that attention is lowered by (ALiBi)."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, f32, u32
from quantgui.formats.gguf.metadata._shared import Builder, layer_epsilon, number, refuse_unless, size_keys

ALIBI_BIAS = 8.0
"""Exponent of the last head's slope; llama.cpp and transformers have no other one."""
BLOOM_CONTEXT, MPT_CONTEXT = 2048, 2048
"""Where a config does not state it."""
EPSILON = 1e-5


def _gpt2(keys: Keys, prefix: str) -> list[KeyValue]:
    _check_scale(keys)
    return [*size_keys(keys, prefix), layer_epsilon(keys, prefix)]


def _starcoder(keys: Keys, prefix: str) -> list[KeyValue]:
    """GPT-BigCode: SantaCoder and the first StarCoder, with one head of keys and values or as many as of queries."""
    _check_scale(keys)
    kv_heads = 1 if keys.flag("multi_query", True) else keys.heads
    return [*size_keys(keys, prefix, kv_heads=kv_heads), layer_epsilon(keys, prefix, EPSILON)]


def _check_scale(keys: Keys) -> None:
    plain = keys.flag("scale_attn_weights", True) and not keys.flag("scale_attn_by_inverse_layer_idx", False)
    refuse_unless(plain, "another scale of attention")


def _bloom(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = not keys.flag("apply_residual_connection_post_layernorm", False)
    refuse_unless(plain, "sums behind the norms (apply_residual_connection_post_layernorm)")
    return [
        *_sizes(keys, prefix, keys.size("seq_length", default=BLOOM_CONTEXT), 4 * keys.hidden),
        layer_epsilon(keys, prefix, EPSILON),
    ]


def _mpt(keys: Keys, prefix: str) -> list[KeyValue]:
    attention = keys.part("attn_config")
    made = [] if attention is None else _mpt_attention(attention, prefix)
    refuse_unless(keys.value("logit_scale") is None, "scaled logits (logit_scale)")
    inner = keys.size("expansion_ratio", default=4) * keys.hidden
    return [
        *_sizes(keys, prefix, keys.size("max_seq_len", default=MPT_CONTEXT), inner),
        layer_epsilon(keys, prefix, EPSILON),
        f32(f"{prefix}.attention.max_alibi_bias", ALIBI_BIAS),
        *made,
    ]


def _mpt_attention(attention: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(attention.flag("alibi", True), "learned positions (alibi)")
    refuse_unless(number(attention, "alibi_bias_max") in (None, ALIBI_BIAS), "other slopes (alibi_bias_max)")
    refuse_unless(number(attention, "softmax_scale") is None, "another scale of attention (softmax_scale)")
    refuse_unless(not attention.flag("prefix_lm", False), "a beginning that sees all of itself (prefix_lm)")
    one_kind = attention.value("attn_type") in ("multihead_attention", None) and not attention.flag("qk_ln", False)
    refuse_unless(one_kind, "another kind of attention (attn_type, qk_ln)")
    limit = number(attention, "clip_qkv")
    return [f32(f"{prefix}.attention.clamp_kqv", limit)] if limit else []


def _sizes(keys: Keys, prefix: str, context: int, inner: int) -> list[KeyValue]:
    return [
        u32(f"{prefix}.block_count", keys.layers),
        u32(f"{prefix}.context_length", context),
        u32(f"{prefix}.embedding_length", keys.hidden),
        u32(f"{prefix}.feed_forward_length", inner),
        u32(f"{prefix}.attention.head_count", keys.heads),
        u32(f"{prefix}.attention.head_count_kv", keys.heads),
    ]


BUILDERS: Mapping[str, Builder] = {
    "bloom": _bloom,
    "gpt2": _gpt2,
    "mpt": _mpt,
    "starcoder": _starcoder,
}
"""general.architecture -> its keys."""
