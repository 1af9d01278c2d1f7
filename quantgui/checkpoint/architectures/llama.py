"""Llama, Mistral and Granite: pre-norm decoders with rotary grouped-query attention and a gated MLP."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, gated_mlp, norm, windowed_attention
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint; biases only where the config switches them on."""
    head_dim, inner = keys.head_dim(), keys.size("intermediate_size")
    attention_bias, mlp_bias = keys.flag("attention_bias", False), keys.flag("mlp_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, attention_bias, attention_bias)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner, mlp_bias)

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; Mistral's `sliding_window`, where stated, holds in every layer."""
    return windowed_attention(keys, keys.head_dim(), lambda index: True)


FAMILY = Family(("llama", "mistral", "granite"), tensors, kept)
