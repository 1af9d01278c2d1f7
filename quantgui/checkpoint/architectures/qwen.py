"""Qwen2 and MiMo-7B (biases on query, key and value), Qwen3 and Qwen3-VL (norms on query and key heads), dense."""

from __future__ import annotations

from quantgui.checkpoint.architectures import _qwen_vision
from quantgui.checkpoint.architectures._blocks import attention, decoder, gated_mlp, linear, norm, windowed_attention
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

QWEN3_HEAD_DIM = 128
"""What transformers takes where a Qwen3 config states no head_dim."""


def head_dim(keys: Keys) -> int:
    """Width of one head."""
    return keys.head_dim(QWEN3_HEAD_DIM if keys.model_type.startswith("qwen3") else None)


def self_attention(prefix: str, keys: Keys) -> Shapes:
    """Attention of either generation, with its norms."""
    if keys.model_type.startswith("qwen3"):
        bias = keys.flag("attention_bias", False)
        yield from attention(prefix, keys, head_dim(keys), bias, bias)
        yield from norm(f"{prefix}.q_norm", head_dim(keys))
        yield from norm(f"{prefix}.k_norm", head_dim(keys))
    else:
        yield from attention(prefix, keys, head_dim(keys), keys.flag("qkv_bias", True))


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model."""
    return decoder(keys, lambda prefix, index: _layer(prefix, keys), tied=False)


def _layer(prefix: str, keys: Keys) -> Shapes:
    yield from norm(f"{prefix}.input_layernorm", keys.hidden)
    yield from self_attention(f"{prefix}.self_attn", keys)
    yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
    yield from gated_mlp(f"{prefix}.mlp", keys.hidden, keys.size("intermediate_size"))


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; windows only with `use_sliding_window`, from layer `max_window_layers` on."""
    uses_window = keys.flag("use_sliding_window", False)
    first = keys.count("max_window_layers", 28)
    return windowed_attention(keys, head_dim(keys), lambda index: uses_window and index >= first)


def extras(keys: Keys) -> Shapes:
    """Qwen3-VL's vision tower, and MiMo's layers that predict further tokens."""
    if keys.model_type.startswith("qwen3_vl"):
        yield from _qwen_vision.tower(keys)
    for index in range(keys.count("num_nextn_predict_layers") if keys.model_type == "mimo" else 0):
        yield from _next_token_layer(f"model.mtp_layers.{index}", keys)


def _next_token_layer(prefix: str, keys: Keys) -> Shapes:
    for name in ("token_layernorm", "hidden_layernorm", "final_layernorm"):
        yield from norm(f"{prefix}.{name}", keys.hidden)
    yield from linear(f"{prefix}.input_proj", keys.hidden, 2 * keys.hidden)
    yield from _layer(prefix, keys)


FAMILY = Family(("qwen2", "qwen3", "qwen3_vl", "qwen3_vl_text", "mimo"), tensors, kept, extras=extras)
