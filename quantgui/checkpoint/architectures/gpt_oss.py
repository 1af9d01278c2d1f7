"""gpt-oss at BF16 shapes: attention with sinks and biases, all experts of a layer in one 3-D parameter."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, linear, norm, windowed_attention
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

HEAD_DIM = 64
"""What transformers takes where the config states no head_dim."""


def tensors(keys: Keys) -> Shapes:
    """Weights before OpenAI's MXFP4 packing; expert matrices are [experts, inputs, outputs]."""
    hidden, inner, head_dim = keys.hidden, keys.size("intermediate_size"), keys.head_dim(HEAD_DIM)
    experts = keys.size("num_local_experts", "num_experts")
    bias = keys.flag("attention_bias", True)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        yield f"{prefix}.self_attn.sinks", (keys.heads,)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from linear(f"{prefix}.mlp.router", experts, hidden, bias=True)
        yield f"{prefix}.mlp.experts.gate_up_proj", (experts, hidden, 2 * inner)
        yield f"{prefix}.mlp.experts.gate_up_proj_bias", (experts, 2 * inner)
        yield f"{prefix}.mlp.experts.down_proj", (experts, inner, hidden)
        yield f"{prefix}.mlp.experts.down_proj_bias", (experts, hidden)

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; every other layer slides, starting with the first."""
    return windowed_attention(keys, keys.head_dim(HEAD_DIM), lambda index: index % 2 == 0)


FAMILY = Family(("gpt_oss",), tensors, kept)
