"""Rotary positions: what the configs of all years call them, the keys llama.cpp reads, and its frequency factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, f32, text, u32
from quantgui.types import UserError

DEFAULT_THETA = 10_000.0
NEVER_TURNS = 1e30
"""Divides a frequency to nothing."""
BETA_FAST, BETA_SLOW = 32.0, 1.0
"""Between how many rotations YaRN blends: what most architectures of llama.cpp do not read from the file."""
_OLD_THETA = ("rope_theta", "rotary_emb_base", "global_rope_theta")
_OLD_SLIDING_THETA = ("rope_local_base_freq", "local_rope_theta")


@dataclass(frozen=True, slots=True)
class Rope:
    """The rotary positions of one model. `settings` are those of its scaling, under their Hugging Face names."""

    theta: float
    kind: str  # "default", "linear", "llama3", "yarn", "longrope", "dynamic"
    settings: Mapping[str, Any]
    sliding_theta: float | None = None  # in layers with a sliding window, where it differs

    def number(self, name: str, default: float | None = None) -> float:
        """A positive setting. Raises UserError where it is missing without a default, or no such number."""
        value = self.settings.get(name)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise UserError(f"The config's rope setting {name} is {value!r}, which is not a possible value.")
        return float(value)


def rope_of(keys: Keys, default_theta: float = DEFAULT_THETA) -> Rope:
    """From `rope_parameters` (transformers 5, one for all layers or one per kind of layer) or the older keys."""
    stated = keys.value("rope_parameters", "rope_scaling")
    stated = stated if isinstance(stated, Mapping) else {}
    by_kind = {name: part for name, part in stated.items() if isinstance(part, Mapping)}
    full = by_kind.get("full_attention", stated)
    sliding = by_kind.get("sliding_attention", {})
    theta = full.get("rope_theta", keys.value(*_OLD_THETA))
    sliding_theta = sliding.get("rope_theta", keys.value(*_OLD_SLIDING_THETA))
    kind = full.get("rope_type") or full.get("type") or "default"
    return Rope(
        theta=Rope(0, "", {"theta": theta}).number("theta", default_theta),
        kind="longrope" if kind == "su" else str(kind),
        settings=full,
        sliding_theta=None if sliding_theta is None else Rope(0, "", {"theta": sliding_theta}).number("theta"),
    )


def rope_keys(keys: Keys, prefix: str, rope: Rope) -> list[KeyValue]:
    """Base frequency and scaling. Raises UserError for a scaling that llama.cpp has no key for."""
    made = [f32(f"{prefix}.rope.freq_base", rope.theta)]
    if rope.sliding_theta is not None:
        made.append(f32(f"{prefix}.rope.freq_base_swa", rope.sliding_theta))
    if rope.kind in ("linear", "yarn"):
        made += [
            text(f"{prefix}.rope.scaling.type", rope.kind),
            f32(f"{prefix}.rope.scaling.factor", rope.number("factor")),
        ]
    if rope.kind == "yarn":
        made += _yarn_keys(keys, prefix, rope)
    elif rope.kind == "longrope":
        made += _longrope_keys(keys, prefix, rope)
    elif rope.kind not in ("default", "linear", "llama3", "proportional"):
        raise UserError(
            f"llama.cpp has no rope scaling of the kind “{rope.kind}”, which this model's config asks for.",
            hint="Without it long texts would come out wrong.",
        )
    return made


def _yarn_keys(keys: Keys, prefix: str, rope: Rope) -> list[KeyValue]:
    if (rope.number("beta_fast", BETA_FAST), rope.number("beta_slow", BETA_SLOW)) != (BETA_FAST, BETA_SLOW):
        raise UserError(
            "The config asks for another range of blended frequencies (beta_fast, beta_slow) than llama.cpp has.",
            hint="The file would load and answer wrongly, so it is not written.",
        )
    made = [u32(f"{prefix}.rope.scaling.original_context_length", original_context(keys, rope))]
    share = _yarn_attention(rope) / _magnitude(rope.number("factor"), 1)
    return made if math.isclose(share, 1) else [*made, f32(f"{prefix}.rope.scaling.attn_factor", share)]


def _yarn_attention(rope: Rope) -> float:
    """What queries and keys are multiplied with, as `_compute_yarn_parameters` of transformers infers it.

    llama.cpp multiplies with 1 + 0.1 ln(factor) by itself.
    """
    factor = rope.number("factor")
    if rope.settings.get("attention_factor") is not None:
        return rope.number("attention_factor")
    if rope.settings.get("mscale") and rope.settings.get("mscale_all_dim"):
        return _magnitude(factor, rope.number("mscale")) / _magnitude(factor, rope.number("mscale_all_dim"))
    return _magnitude(factor, 1)


def _magnitude(factor: float, share: float) -> float:
    return 1 + 0.1 * share * math.log(factor) if factor > 1 else 1.0


def _longrope_keys(keys: Keys, prefix: str, rope: Rope) -> list[KeyValue]:
    """Phi-3's long contexts: attention is scaled by sqrt(1 + ln(factor) / ln(original context))."""
    original = original_context(keys, rope)
    factor = keys.size("max_position_embeddings") / original
    scale = math.sqrt(1 + math.log(factor) / math.log(original)) if factor > 1 else 1.0
    return [
        u32(f"{prefix}.rope.scaling.original_context_length", original),
        f32(f"{prefix}.rope.scaling.attn_factor", rope.number("attention_factor", scale)),
    ]


def original_context(keys: Keys, rope: Rope) -> int:
    """The context that a scaled model was first trained with."""
    name = "original_max_position_embeddings"
    return int(rope.number(name, keys.optional(name) or keys.size("max_position_embeddings")))


def llama3_factors(keys: Keys, rope: Rope) -> tuple[float, ...]:
    """What llama.cpp divides each frequency by: 1 for short waves, `factor` for long ones, a blend between.

    One value per pair of dimensions, as `_compute_llama3_parameters` of transformers scales its frequencies.
    """
    dimensions = keys.head_dim()
    factor, original = rope.number("factor"), rope.number("original_max_position_embeddings", 8192)
    low, high = rope.number("low_freq_factor", 1), rope.number("high_freq_factor", 4)

    def one(pair: int) -> float:
        wavelength = 2 * math.pi * rope.theta ** (2 * pair / dimensions)
        if wavelength < original / high:
            return 1.0
        if wavelength > original / low:
            return factor
        smooth = (original / wavelength - low) / (high - low)
        return 1 / ((1 - smooth) / factor + smooth)

    return tuple(one(pair) for pair in range(dimensions // 2))


def proportional_factors(rope: Rope, width: int) -> tuple[float, ...]:
    """What llama.cpp divides the frequencies of a head by of which only the first pairs are turned, as
    `_compute_proportional_rope_parameters` of transformers has them: 1, then so much that nothing turns."""
    turned = int(rope.number("partial_rotary_factor", 1.0) * width // 2)
    return (1.0,) * turned + (NEVER_TURNS,) * (width // 2 - turned)
