"""Keys that most architectures share, from the names that all families of config.json use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import cycle, islice

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, f32, u32
from quantgui.formats.gguf.metadata.rope import DEFAULT_THETA, Rope, rope_keys, rope_of
from quantgui.types import UserError

Builder = Callable[[Keys, str], list[KeyValue]]
"""The config and the architecture's name -> its keys in the order of llama.cpp's converter."""

VISION_THETA, VISION_SECTIONS = 5_000_000.0, (24, 20, 20)
"""Of Qwen3-VL: base frequency, and pairs of dimensions that a picture's time, height and width turn."""
GLM_SHARE = 0.5
"""Part of a head that GLM rotates."""
_RMS_EPSILON = ("rms_norm_eps", "norm_eps")
_LAYER_EPSILON = ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")


class Gating(IntEnum):
    """`enum llama_expert_gating_func_type`: what makes weights of a router's numbers."""

    SOFTMAX = 1
    SIGMOID = 2


def size_keys(
    keys: Keys,
    prefix: str,
    *,
    unused_positions: bool = False,
    inner: int | Sequence[int] | None = None,
    kv_heads: int | Sequence[int] | None = None,
) -> list[KeyValue]:
    """Layers, widths, heads and the context.

    `unused_positions` says that the first positions, up to the padding token's id, are never used. `inner` and
    `kv_heads` replace what the config states; a list has one number per layer.
    """
    context = keys.size("max_position_embeddings", "n_positions", "n_ctx")
    padding = keys.count("pad_token_id") if unused_positions and keys.value("pad_token_id") is not None else -1
    if inner is None:
        inner = keys.size("intermediate_size", "n_inner", "hidden_dim", default=4 * keys.hidden)
    return [
        u32(f"{prefix}.block_count", keys.layers),
        u32(f"{prefix}.context_length", context - (padding + 1)),
        u32(f"{prefix}.embedding_length", keys.hidden),
        one_or_each(f"{prefix}.feed_forward_length", inner),
        u32(f"{prefix}.attention.head_count", keys.heads),
        one_or_each(f"{prefix}.attention.head_count_kv", keys.kv_heads if kv_heads is None else kv_heads),
    ]


def one_or_each(key: str, value: int | Sequence[int]) -> KeyValue:
    """A whole number, or one for each layer."""
    return u32(key, value) if isinstance(value, int) else array_of(key, ValueKind.INT32, value)


def head_keys(keys: Keys, prefix: str, default: int | None = None) -> list[KeyValue]:
    """The width of a head, which need not be hidden size / heads."""
    width = keys.head_dim(default)
    return [u32(f"{prefix}.attention.key_length", width), u32(f"{prefix}.attention.value_length", width)]


def window_keys(keys: Keys, prefix: str) -> list[KeyValue]:
    """The sliding window of architectures in which llama.cpp knows by itself which layers have it."""
    return [u32(f"{prefix}.attention.sliding_window", keys.size("sliding_window"))]


def check_windows(keys: Keys, pattern: int) -> None:
    """llama.cpp knows these architectures with full attention in every `pattern`-th layer and in no other."""
    kinds = keys.kinds()
    wanted = islice(cycle(["sliding_attention"] * (pattern - 1) + ["full_attention"]), keys.layers)
    fits = kinds == tuple(wanted) if kinds else keys.size("sliding_window_pattern", default=pattern) == pattern
    refuse_unless(fits, "another order of layers with sliding windows")


def rms_epsilon(keys: Keys, prefix: str, default: float | None = None) -> KeyValue:
    """What is added to the mean square in a norm without a mean."""
    return f32(f"{prefix}.attention.layer_norm_rms_epsilon", _epsilon(keys, _RMS_EPSILON, default))


def layer_epsilon(keys: Keys, prefix: str, default: float | None = None) -> KeyValue:
    """What is added to the variance in a norm with a mean."""
    return f32(f"{prefix}.attention.layer_norm_epsilon", _epsilon(keys, _LAYER_EPSILON, default))


def number(keys: Keys, name: str) -> float | None:
    """A finite number of the config, None where it is not stated. Raises UserError for anything else."""
    value = keys.value(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"The config's {name} is {value!r}, but must be a number.")
    return float(value)


def dense_keys(keys: Keys, prefix: str, default_theta: float = DEFAULT_THETA) -> list[KeyValue]:
    """Sizes, rotary positions over the whole head, RMS norms."""
    rope = rope_of(keys, default_theta)
    return [*size_keys(keys, prefix), *rope_keys(keys, prefix, rope), rms_epsilon(keys, prefix)]


def expert_keys(keys: Keys, prefix: str) -> list[KeyValue]:
    """How many experts there are and how many of them a token passes through; none where there are none."""
    experts = keys.optional("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
    if experts is None:
        return []
    used = keys.size("num_experts_per_tok", "moe_k")
    return [u32(f"{prefix}.expert_count", experts), u32(f"{prefix}.expert_used_count", used)]


def rotary_keys(
    keys: Keys, prefix: str, default_share: float = 1.0, default_theta: float = DEFAULT_THETA
) -> list[KeyValue]:
    """Rotary positions over a part of each head."""
    rope = rope_of(keys)
    return [
        u32(f"{prefix}.rope.dimension_count", rotated_dimensions(keys, rope, default_share)),
        *rope_keys(keys, prefix, rope),
    ]


def rotated_dimensions(keys: Keys, rope: Rope, default: float) -> int:
    """Dimensions of a head that are rotated."""
    stated = rope.settings.get("partial_rotary_factor", keys.value("partial_rotary_factor", "rope_pct", "rotary_pct"))
    share = Rope(0, "", {"share": stated}).number("share", default)
    return int(share * keys.head_dim())


def granite_scales(keys: Keys, prefix: str) -> list[KeyValue]:
    """Granite's four multipliers, of which the last one divides the logits in both programs."""
    names = {
        "attention_multiplier": "attention.scale",
        "embedding_multiplier": "embedding_scale",
        "residual_multiplier": "residual_scale",
        "logits_scaling": "logit_scale",
    }
    stated = {key: number(keys, name) for name, key in names.items()}
    return [f32(f"{prefix}.{key}", value) for key, value in stated.items() if value]


def vision_keys(keys: Keys, prefix: str) -> list[KeyValue]:
    """Of the language model of Qwen3-VL alone: no layer gets features of a picture."""
    sections = rope_of(keys).settings.get("mrope_section") or VISION_SECTIONS
    return [
        array_of(f"{prefix}.rope.dimension_sections", ValueKind.INT32, [*sections, 0]),
        u32(f"{prefix}.n_deepstack_layers", 0),
    ]


def ssm_keys(
    prefix: str, *, kernel: int, state: int, inner: int, rank: int, groups: int | None = None
) -> list[KeyValue]:
    """Sizes of a state space: taps of its convolution, entries of a state, width inside, rank of the step of time (in
    Mamba-2 and delta nets the number of heads), groups of heads."""
    made = [u32(f"{prefix}.ssm.conv_kernel", kernel), u32(f"{prefix}.ssm.state_size", state)]
    made += [] if groups is None else [u32(f"{prefix}.ssm.group_count", groups)]
    return [*made, u32(f"{prefix}.ssm.inner_size", inner), u32(f"{prefix}.ssm.time_step_rank", rank)]


def time_is_unlimited(keys: Keys) -> bool:
    """Whether steps of time may have any length; JSON has no word for infinity, so configs write it variously."""
    limits = keys.sequence("time_step_limit")
    if limits is None:
        return True
    low, high = limits
    return low == 0 and not (isinstance(high, int | float) and math.isfinite(high))


def refuse_unless(fits: bool, what: str) -> None:
    """Raises UserError for `what` a config asks for and llama.cpp computes otherwise."""
    if not fits:
        raise UserError(
            f"This model's config asks for {what}, which llama.cpp does not do for this architecture.",
            hint="The file would load and answer wrongly, so it is not written.",
        )


def _epsilon(keys: Keys, names: tuple[str, ...], default: float | None) -> float:
    found = next((value for value in (number(keys, name) for name in names) if value is not None), default)
    if found is None or found < 0:
        raise UserError(f"The config does not state {names[0]}.", hint="Use the model's complete config.json.")
    return found
