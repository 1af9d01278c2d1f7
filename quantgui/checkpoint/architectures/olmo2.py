"""OLMo 2 and 3: norms after attention and MLP instead of before, and over the whole width of query and key."""

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

OLMO3_PATTERN = 4
"""Every fourth layer of OLMo 3 attends to everything."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    head_dim, inner = keys.head_dim(), keys.size("intermediate_size")
    bias = keys.flag("attention_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        yield from norm(f"{prefix}.self_attn.q_norm", keys.heads * head_dim)
        yield from norm(f"{prefix}.self_attn.k_norm", keys.kv_heads * head_dim)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        yield from norm(f"{prefix}.post_feedforward_layernorm", keys.hidden)

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; OLMo 3 slides in three of four layers."""
    if keys.model_type == "olmo2":
        return full_attention(keys, keys.head_dim())
    return windowed_attention(keys, keys.head_dim(), lambda index: (index + 1) % OLMO3_PATTERN != 0)


FAMILY = Family(("olmo2", "olmo3"), tensors, kept)
