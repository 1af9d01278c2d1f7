"""Keys of the Gemma family: sliding windows, capped logits, heads of their own width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.heads import global_head_dim
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, f32, u32
from quantgui.formats.gguf.metadata._shared import (
    Builder,
    check_windows,
    head_keys,
    number,
    refuse_unless,
    rms_epsilon,
    size_keys,
)
from quantgui.formats.gguf.metadata.rope import rope_keys, rope_of

GEMMA_HEAD = 256
"""Width of a head where a Gemma config does not state it."""
GEMMA3N_SIZES: Mapping[str, int] = {"altup_num_inputs": 4, "laurel_rank": 64, "hidden_size_per_layer_input": 256}
GEMMA3N_OWN_LAYERS = 20
GEMMA3N_SPARSE_LAYERS, GEMMA3N_SPARSITY = 10, 0.95
"""What llama.cpp computes Gemma 3n with, whatever the file says: layers with keys of their own, and sparse ones."""


def _gemma(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*size_keys(keys, prefix), rms_epsilon(keys, prefix), *head_keys(keys, prefix, GEMMA_HEAD)]


def _gemma2(keys: Keys, prefix: str) -> list[KeyValue]:
    check_windows(keys, 2)
    _check_query_scale(keys, layers_of_27b=46)
    refuse_unless(rope_of(keys).theta == 10_000, "another base frequency than 10,000")
    caps = {name: number(keys, f"{name}_logit_softcapping") for name in ("attn", "final")}
    made = _gemma(keys, prefix) + [f32(f"{prefix}.{name}_logit_softcapping", cap or 0) for name, cap in caps.items()]
    return [*made, u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window", default=4096))]


def _gemma3(keys: Keys, prefix: str) -> list[KeyValue]:
    check_windows(keys, 6)
    _check_query_scale(keys, layers_of_27b=62)
    made = _gemma(keys, prefix)
    made += _capped(keys, prefix)
    made.append(u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window", default=4096)))
    return made + rope_keys(keys, prefix, rope_of(keys, default_theta=1_000_000.0))


def _check_query_scale(keys: Keys, layers_of_27b: int) -> None:
    """llama.cpp scales queries by the width of a head, except in the 27B model, which it tells by its layers."""
    head = keys.hidden // keys.heads if keys.layers == layers_of_27b else keys.head_dim(GEMMA_HEAD)
    scale = number(keys, "query_pre_attn_scalar")
    refuse_unless(scale is None or scale == head, f"queries scaled by {scale} (query_pre_attn_scalar)")


def _gemma3n(keys: Keys, prefix: str) -> list[KeyValue]:
    """Most of this architecture's sizes stand in llama.cpp itself, which knows its two models."""
    check_windows(keys, 5)
    fixed = all(keys.size(name, default=value) == value for name, value in GEMMA3N_SIZES.items())
    fixed &= keys.layers - keys.count("num_kv_shared_layers") == GEMMA3N_OWN_LAYERS
    refuse_unless(fixed and not keys.count("altup_active_idx"), "sizes that no Gemma 3n model has")
    sparse = keys.sequence("activation_sparsity_pattern")
    wanted = [GEMMA3N_SPARSITY] * GEMMA3N_SPARSE_LAYERS + [0.0] * (keys.layers - GEMMA3N_SPARSE_LAYERS)
    refuse_unless(sparse is not None and list(sparse) == wanted, "other sparse layers (activation_sparsity_pattern)")
    widths = keys.value("intermediate_size")
    inner = set(widths) if isinstance(widths, list) else {widths}
    refuse_unless(len(inner) == 1, "layers of different widths (intermediate_size)")
    return [
        *size_keys(keys, prefix, inner=inner.pop()),
        rms_epsilon(keys, prefix),
        *head_keys(keys, prefix, GEMMA_HEAD),
        u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window", default=512)),
        u32(f"{prefix}.attention.shared_kv_layers", keys.count("num_kv_shared_layers")),
        u32(f"{prefix}.altup.active_idx", 0),
        u32(f"{prefix}.altup.num_inputs", GEMMA3N_SIZES["altup_num_inputs"]),
        u32(f"{prefix}.embedding_length_per_layer_input", GEMMA3N_SIZES["hidden_size_per_layer_input"]),
        *rope_keys(keys, prefix, rope_of(keys, 1_000_000.0)),
        *_capped(keys, prefix),
    ]


def _gemma4(keys: Keys, prefix: str) -> list[KeyValue]:
    """Wider heads in the layers that see everything, embeddings per layer, last layers without keys of their own."""
    refuse_unless(keys.value("use_bidirectional_attention") != "all", "tokens that see what follows them")
    rope, kinds = rope_of(keys, 1_000_000.0), keys.kinds()
    slides = _slides(kinds, keys.layers)
    width, narrow = global_head_dim(keys), keys.head_dim(GEMMA_HEAD)
    shared = keys.count("num_kv_shared_layers")
    own = slides[: keys.layers - shared]
    refuse_unless(not shared or own[-2:] == [True, False], "other layers whose keys and values are used again")
    made = [
        *size_keys(keys, prefix, inner=_gemma4_inner(keys, shared), kv_heads=_gemma4_kv_heads(keys, slides)),
        rms_epsilon(keys, prefix),
        u32(f"{prefix}.attention.key_length", width),
        u32(f"{prefix}.attention.value_length", width),
        u32(f"{prefix}.attention.key_length_swa", narrow),
        u32(f"{prefix}.attention.value_length_swa", narrow),
        u32(f"{prefix}.attention.shared_kv_layers", shared),
        u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window", default=512)),
        array_of(f"{prefix}.attention.sliding_window_pattern", ValueKind.BOOL, slides),
        u32(f"{prefix}.embedding_length_per_layer_input", keys.count("hidden_size_per_layer_input", 256)),
        u32(f"{prefix}.rope.dimension_count", width),
        u32(f"{prefix}.rope.dimension_count_swa", narrow),
        *rope_keys(keys, prefix, rope),
        *_capped(keys, prefix),
    ]
    if not keys.flag("enable_moe_block", False):
        return made
    return [
        *made,
        u32(f"{prefix}.expert_count", keys.size("num_experts")),
        u32(f"{prefix}.expert_used_count", keys.size("top_k_experts")),
        u32(f"{prefix}.expert_feed_forward_length", keys.size("moe_intermediate_size")),
    ]


def _slides(kinds: Sequence[str] | None, layers: int) -> list[bool]:
    """Which layers see a window alone: as stated, else all but every sixth and the last."""
    if kinds:
        return [kind == "sliding_attention" for kind in kinds]
    return [(layer + 1) % 6 != 0 and layer != layers - 1 for layer in range(layers)]


def _gemma4_kv_heads(keys: Keys, slides: Sequence[bool]) -> list[int]:
    shared = keys.optional("num_global_key_value_heads") if keys.flag("attention_k_eq_v", False) else None
    wide = (keys.of_layer(layer, "num_key_value_heads") or shared or keys.kv_heads for layer in range(keys.layers))
    return [keys.kv_heads if narrow else heads for narrow, heads in zip(slides, wide, strict=True)]


def _gemma4_inner(keys: Keys, shared: int) -> list[int]:
    """Layers that share keys have an MLP of twice the width, where the config says so."""
    inner, factor = keys.size("intermediate_size"), 2 if keys.flag("use_double_wide_mlp", False) else 1
    return [inner] * (keys.layers - shared) + [factor * inner] * shared


def _capped(keys: Keys, prefix: str) -> list[KeyValue]:
    cap = number(keys, "final_logit_softcapping")
    return [f32(f"{prefix}.final_logit_softcapping", cap)] if cap else []


BUILDERS: Mapping[str, Builder] = {
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gemma3n": _gemma3n,
    "gemma4": _gemma4,
}
"""general.architecture -> its keys."""
