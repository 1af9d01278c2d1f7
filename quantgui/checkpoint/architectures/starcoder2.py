"""StarCoder2: grouped-query attention, LayerNorm and a plain two-matrix MLP, with biases throughout."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, linear, norm, windowed_attention
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")
    bias = keys.flag("use_bias", True)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden, bias=True)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden, bias=True)
        yield from linear(f"{prefix}.mlp.c_fc", inner, hidden, bias)
        yield from linear(f"{prefix}.mlp.c_proj", hidden, inner, bias)

    return decoder(keys, layer, tied=True, norm_bias=True)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; a stated window holds in every layer."""
    return windowed_attention(keys, keys.head_dim(), lambda index: True)


FAMILY = Family(("starcoder2",), tensors, kept)
