"""GLM-4 (fused gate and up projection, in the later ones a norm behind each part)."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, full_attention, fused_mlp, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

HEAD_DIM = 128
"""What transformers takes where the config states no head_dim."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, bias = keys.hidden, keys.flag("attention_bias", True)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from attention(f"{prefix}.self_attn", keys, keys.head_dim(HEAD_DIM), bias)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from fused_mlp(f"{prefix}.mlp", hidden, keys.size("intermediate_size"))
        if keys.model_type == "glm4":
            yield from norm(f"{prefix}.post_self_attn_layernorm", hidden)
            yield from norm(f"{prefix}.post_mlp_layernorm", hidden)

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, keys.head_dim(HEAD_DIM))


FAMILY = Family(("glm", "glm4"), tensors, kept)
