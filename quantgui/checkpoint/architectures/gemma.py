"""Gemma 1, 2 and 3 (text): tied embeddings, wide heads, from the second on four norms a layer and sliding windows."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, gated_mlp, norm, windowed_attention
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

HEAD_DIM = 256
"""What transformers takes where the config states no head_dim."""
GEMMA3_PATTERN = 6
"""Every sixth layer of Gemma 3 attends to everything."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    head_dim, inner = keys.head_dim(HEAD_DIM), keys.size("intermediate_size")
    bias = keys.flag("attention_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        if keys.model_type == "gemma3_text":
            yield from norm(f"{prefix}.self_attn.q_norm", head_dim)
            yield from norm(f"{prefix}.self_attn.k_norm", head_dim)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        if keys.model_type != "gemma":
            yield from norm(f"{prefix}.pre_feedforward_layernorm", keys.hidden)
            yield from norm(f"{prefix}.post_feedforward_layernorm", keys.hidden)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner)

    return decoder(keys, layer, tied=True)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; Gemma 2 slides in every other layer, Gemma 3 in all but every sixth."""
    pattern = keys.size("sliding_window_pattern", default=GEMMA3_PATTERN if keys.model_type == "gemma3_text" else 2)
    return windowed_attention(keys, keys.head_dim(HEAD_DIM), lambda index: (index + 1) % pattern != 0)


FAMILY = Family(("gemma", "gemma2", "gemma3_text"), tensors, kept)
