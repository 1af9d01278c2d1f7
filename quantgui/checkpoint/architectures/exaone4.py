"""EXAONE 4: norms behind attention and MLP, and over query and key heads; the 32B slides in three of four layers."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import (
    attention,
    decoder,
    gated_mlp,
    head_norms,
    norm,
    windowed_attention,
)
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

PATTERN = 4
"""Every fourth layer attends to everything."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    head_dim, inner = keys.head_dim(), keys.size("intermediate_size")

    def layer(prefix: str, index: int) -> Shapes:
        yield from attention(f"{prefix}.self_attn", keys, head_dim)
        yield from head_norms(f"{prefix}.self_attn", head_dim)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner)
        yield from norm(f"{prefix}.post_feedforward_layernorm", keys.hidden)

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values."""
    return windowed_attention(keys, keys.head_dim(), lambda index: (index + 1) % PATTERN != 0)


FAMILY = Family(("exaone4",), tensors, kept)
