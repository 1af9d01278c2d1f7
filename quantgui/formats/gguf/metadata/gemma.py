"""Keys of the Gemma family: sliding windows, capped logits, heads of their own width."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, f32, u32
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
    cap = number(keys, "final_logit_softcapping")
    if cap:
        made.append(f32(f"{prefix}.final_logit_softcapping", cap))
    made.append(u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window", default=4096)))
    return made + rope_keys(keys, prefix, rope_of(keys, default_theta=1_000_000.0))


def _check_query_scale(keys: Keys, layers_of_27b: int) -> None:
    """llama.cpp scales queries by the width of a head, except in the 27B model, which it tells by its layers."""
    head = keys.hidden // keys.heads if keys.layers == layers_of_27b else keys.head_dim(GEMMA_HEAD)
    scale = number(keys, "query_pre_attn_scalar")
    refuse_unless(scale is None or scale == head, f"queries scaled by {scale} (query_pre_attn_scalar)")


BUILDERS: Mapping[str, Builder] = {"gemma": _gemma, "gemma2": _gemma2, "gemma3": _gemma3}
"""general.architecture -> its keys."""
