"""Command R, R7B and A, and Aya: one norm a layer feeds attention and MLP in parallel; the head is tied."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import (
    attention,
    decoder,
    full_attention,
    gated_mlp,
    norm,
    windowed_attention,
)
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

COHERE2_PATTERN = 4
"""Every fourth layer of the second generation attends to everything."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint; Command R+ norms every head of query and key."""
    head_dim, inner = keys.head_dim(), keys.size("intermediate_size")
    bias = keys.flag("attention_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        if keys.flag("use_qk_norm", False):
            yield f"{prefix}.self_attn.q_norm.weight", (keys.heads, head_dim)
            yield f"{prefix}.self_attn.k_norm.weight", (keys.kv_heads, head_dim)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner)

    return decoder(keys, layer, tied=True)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; the second generation slides in three of four layers."""
    if keys.model_type == "cohere":
        return full_attention(keys, keys.head_dim())
    pattern = keys.size("sliding_window_pattern", default=COHERE2_PATTERN)
    return windowed_attention(keys, keys.head_dim(), lambda index: (index + 1) % pattern != 0)


FAMILY = Family(("cohere", "cohere2"), tensors, kept)
