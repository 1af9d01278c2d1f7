"""Qwen2 (biases on query, key and value) and Qwen3 (norms on query and key heads), dense."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, gated_mlp, norm, windowed_attention
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
    """Weights of the checkpoint."""
    inner = keys.size("intermediate_size")

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from self_attention(f"{prefix}.self_attn", keys)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner)

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; windows only with `use_sliding_window`, from layer `max_window_layers` on."""
    uses_window = keys.flag("use_sliding_window", False)
    first = keys.count("max_window_layers", 28)
    return windowed_attention(keys, head_dim(keys), lambda index: uses_window and index >= first)


FAMILY = Family(("qwen2", "qwen3"), tensors, kept)
