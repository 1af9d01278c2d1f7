"""Phi-3, Phi-4, Phi-4-multimodal (text): Llama with query, key and value in one matrix, gate and up in another."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import decoder, linear, norm, windowed_attention
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from linear(f"{prefix}.self_attn.qkv_proj", (keys.heads + 2 * keys.kv_heads) * head_dim, hidden)
        yield from linear(f"{prefix}.self_attn.o_proj", hidden, keys.heads * head_dim)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from linear(f"{prefix}.mlp.gate_up_proj", 2 * inner, hidden)
        yield from linear(f"{prefix}.mlp.down_proj", hidden, inner)

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; a stated window holds in every layer."""
    return windowed_attention(keys, keys.head_dim(), lambda index: True)


FAMILY = Family(("phi3", "phi4_multimodal"), tensors, kept)
