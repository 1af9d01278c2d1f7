"""Keys of dense decoders."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys
from quantgui.formats.gguf.heads import falcon_kv_heads
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, f32, flag, text, u32
from quantgui.formats.gguf.metadata._shared import (
    GLM_SHARE,
    VISION_THETA,
    Builder,
    check_windows,
    dense_keys,
    expert_keys,
    granite_scales,
    head_keys,
    layer_epsilon,
    number,
    refuse_unless,
    rms_epsilon,
    rotary_keys,
    rotated_dimensions,
    size_keys,
    vision_keys,
    window_keys,
)
from quantgui.formats.gguf.metadata.rope import Rope, original_context, rope_keys, rope_of

COHERE_THETA = 500_000.0
COHERE_LOGIT_SCALE = 0.0625
"""What Cohere's configs leave out."""
EXAONE_LAYERS_WITH_WINDOWS = 64
"""How llama.cpp tells the model that has sliding windows."""
COMMAND_R_PLUS_LAYERS = 64
"""llama.cpp reads norms of queries and keys in models of at least so many layers, and in no other."""
OLMO_EPSILON = 1e-5
"""Of the norms without weights, which no config states."""


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


def _with_heads(keys: Keys, prefix: str) -> list[KeyValue]:
    """RMS norms, heads of a width of their own, rotary positions over a part or the whole of them."""
    return [
        *size_keys(keys, prefix),
        rms_epsilon(keys, prefix),
        *head_keys(keys, prefix),
        *rotary_keys(keys, prefix),
    ]


def _ernie(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(not keys.flag("use_bias", False), "biases (use_bias)")
    return _with_heads(keys, prefix)


def _glm(keys: Keys, prefix: str) -> list[KeyValue]:
    made = [*size_keys(keys, prefix), rms_epsilon(keys, prefix), *head_keys(keys, prefix)]
    return made + rotary_keys(keys, prefix, GLM_SHARE)


def _command_r(keys: Keys, prefix: str) -> list[KeyValue]:
    norms = keys.flag("use_qk_norm", False)
    refuse_unless(norms == (keys.layers >= COMMAND_R_PLUS_LAYERS), "norms of queries and keys in a model of this depth")
    return [
        *size_keys(keys, prefix),
        layer_epsilon(keys, prefix),
        *rope_keys(keys, prefix, rope_of(keys, COHERE_THETA)),
        f32(f"{prefix}.logit_scale", number(keys, "logit_scale") or COHERE_LOGIT_SCALE),
    ]


def _cohere2(keys: Keys, prefix: str) -> list[KeyValue]:
    check_windows(keys, 4)
    return [
        *size_keys(keys, prefix),
        layer_epsilon(keys, prefix),
        *rotary_keys(keys, prefix),
        *head_keys(keys, prefix),
        *window_keys(keys, prefix),
        f32(f"{prefix}.logit_scale", number(keys, "logit_scale") or COHERE_LOGIT_SCALE),
        u32(f"{prefix}.vocab_size", keys.vocab),
    ]


def _exaone4(keys: Keys, prefix: str) -> list[KeyValue]:
    window = keys.count("sliding_window")
    refuse_unless(bool(window) == (keys.layers == EXAONE_LAYERS_WITH_WINDOWS), "windows in a model of this depth")
    made = _with_heads(keys, prefix)
    if not window:
        return made
    check_windows(keys, 4)
    return made + window_keys(keys, prefix)


def _falcon(keys: Keys, prefix: str) -> list[KeyValue]:
    plain = not keys.flag("alibi", False) and keys.flag("parallel_attn", True)
    refuse_unless(plain, "distances instead of positions (alibi), or attention and MLP one after the other")
    return [
        u32(f"{prefix}.context_length", keys.size("max_position_embeddings", default=2048)),
        text(f"{prefix}.tensor_data_layout", "jploski"),
        u32(f"{prefix}.embedding_length", keys.hidden),
        u32(f"{prefix}.feed_forward_length", keys.size("ffn_hidden_size", default=4 * keys.hidden)),
        u32(f"{prefix}.block_count", keys.layers),
        u32(f"{prefix}.attention.head_count", keys.heads),
        u32(f"{prefix}.attention.head_count_kv", falcon_kv_heads(keys)),
        layer_epsilon(keys, prefix),
        *rope_keys(keys, prefix, rope_of(keys)),
    ]


def _granite(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*_llama(keys, prefix), *granite_scales(keys, prefix)]


def _hunyuan(keys: Keys, prefix: str) -> list[KeyValue]:
    """Hunyuan's "dynamic" scaling is a higher base frequency: theta × alpha^(d / (d - 2))."""
    rope, width = rope_of(keys), keys.head_dim()
    if rope.kind == "dynamic" and rope.settings.get("alpha"):
        theta = rope.theta * rope.number("alpha") ** (width / (width - 2))
        rope = Rope(theta, "default", {})
    return [
        *size_keys(keys, prefix),
        rms_epsilon(keys, prefix),
        *head_keys(keys, prefix),
        *rope_keys(keys, prefix, rope),
    ]


def _mistral3(keys: Keys, prefix: str) -> list[KeyValue]:
    made = _llama(keys, prefix)
    beta = rope_of(keys).settings.get("llama_4_scaling_beta")
    return made if beta is None else [*made, f32(f"{prefix}.attention.temperature_scale", float(beta))]


def _nemotron(keys: Keys, prefix: str) -> list[KeyValue]:
    return [
        *size_keys(keys, prefix),
        layer_epsilon(keys, prefix),
        *head_keys(keys, prefix),
        *rotary_keys(keys, prefix, 0.5),
        u32(f"{prefix}.vocab_size", keys.vocab),
    ]


def _olmo(keys: Keys, prefix: str) -> list[KeyValue]:
    made = [
        *size_keys(keys, prefix),
        *rope_keys(keys, prefix, rope_of(keys)),
        f32(f"{prefix}.attention.layer_norm_epsilon", OLMO_EPSILON),
    ]
    limit = number(keys, "clip_qkv")
    return [*made, f32(f"{prefix}.attention.clamp_kqv", limit)] if limit else made


def _phi2(keys: Keys, prefix: str) -> list[KeyValue]:
    refuse_unless(not keys.flag("qk_layernorm", False), "norms of queries and keys (qk_layernorm)")
    return [*size_keys(keys, prefix), layer_epsilon(keys, prefix), *rotary_keys(keys, prefix, 0.5)]


def _smollm3(keys: Keys, prefix: str) -> list[KeyValue]:
    rotated = keys.sequence("no_rope_layers")  # 1 where there is rope
    wanted = [(layer + 1) % 4 != 0 for layer in range(keys.layers)]
    fits = rotated is None or [bool(on) for on in rotated[: keys.layers]] == wanted
    refuse_unless(fits and not keys.flag("use_sliding_window", False), "another order of layers without positions")
    return _llama(keys, prefix)


def _qwen3_vl(keys: Keys, prefix: str) -> list[KeyValue]:
    return [*dense_keys(keys, prefix, VISION_THETA), *head_keys(keys, prefix), *vision_keys(keys, prefix)]


BUILDERS: Mapping[str, Builder] = {
    "arcee": _llama,
    "chatglm": _glm,
    "cohere2": _cohere2,
    "command-r": _command_r,
    "ernie4_5": _ernie,
    "exaone4": _exaone4,
    "falcon": _falcon,
    "glm4": _glm,
    "granite": _granite,
    "hunyuan-dense": _hunyuan,
    "mistral3": _mistral3,
    "nemotron": _nemotron,
    "olmo": _olmo,
    "phi2": _phi2,
    "qwen3vl": _qwen3_vl,
    "seed_oss": _with_heads,
    "smollm3": _smollm3,
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
