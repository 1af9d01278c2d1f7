"""Keys of dense decoders."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, flag, u32
from quantgui.formats.gguf.metadata._shared import (
    Builder,
    dense_keys,
    expert_keys,
    head_keys,
    layer_epsilon,
    refuse_unless,
    rms_epsilon,
    rotated_dimensions,
    size_keys,
)
from quantgui.formats.gguf.metadata.rope import original_context, rope_keys, rope_of


def _llama(keys: Keys, prefix: str) -> list[KeyValue]:
    """Llama, Mistral and Mixtral."""
    made = [*dense_keys(keys, prefix), *head_keys(keys, prefix)]
    made += [u32(f"{prefix}.rope.dimension_count", keys.head_dim()), u32(f"{prefix}.vocab_size", keys.vocab)]
    return made + expert_keys(keys, prefix)


def _qwen3(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*dense_keys(keys, prefix), *head_keys(keys, prefix)]


def _phi3(keys: Keys, prefix: str) -> list[KeyValue]:
    rope = rope_of(keys)
    made = [*size_keys(keys, prefix), rms_epsilon(keys, prefix), *rope_keys(keys, prefix, rope)]
    if rope.kind != "longrope":
        made.append(u32(f"{prefix}.rope.scaling.original_context_length", original_context(keys, rope)))
    made.append(u32(f"{prefix}.rope.dimension_count", rotated_dimensions(keys, rope, 1.0)))
    # A window of zero is how llama.cpp tells Phi-4 from the others.
    return [*made, u32(f"{prefix}.attention.sliding_window", keys.count("sliding_window"))]


def _gpt2(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = keys.flag("scale_attn_weights", True) and not keys.flag("scale_attn_by_inverse_layer_idx", False)
    refuse_unless(plain, "another scale of attention")
    return [*size_keys(keys, prefix), layer_epsilon(keys, prefix)]


def _gpt_neox(keys: Keys, prefix: str) -> list[KeyValue]:
    """GPT-NeoX and StableLM: a part of each head is rotated, attention and MLP may stand side by side."""
    rope = rope_of(keys)
    return [
        *size_keys(keys, prefix),
        u32(f"{prefix}.rope.dimension_count", rotated_dimensions(keys, rope, 0.25)),
        *rope_keys(keys, prefix, rope),
        flag(f"{prefix}.use_parallel_residual", keys.flag("use_parallel_residual", True)),
        layer_epsilon(keys, prefix),
    ]


def _starcoder2(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*size_keys(keys, prefix), *rope_keys(keys, prefix, rope_of(keys)), layer_epsilon(keys, prefix)]


def _olmo2(keys: Keys, prefix: str) -> list[KeyValue]:
    made = dense_keys(keys, prefix)
    window, kinds = keys.count("sliding_window"), keys.kinds()
    if not window or keys.model_type == "olmo2":
        return made
    slides = [kind == "sliding_attention" for kind in kinds] if kinds else [i % 4 != 3 for i in range(keys.layers)]
    made.append(u32(f"{prefix}.attention.sliding_window", window))
    return [*made, array_of(f"{prefix}.attention.sliding_window_pattern", ValueKind.BOOL, slides)]


BUILDERS: Mapping[str, Builder] = {
    "gpt2": _gpt2,
    "gptneox": _gpt_neox,
    "llama": _llama,
    "olmo2": _olmo2,
    "phi3": _phi3,
    "qwen2": dense_keys,
    "qwen3": _qwen3,
    "stablelm": _gpt_neox,
    "starcoder2": _starcoder2,
}
"""general.architecture -> its keys."""
