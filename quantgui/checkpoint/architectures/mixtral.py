"""Mixtral and Phi-3.5-MoE (LayerNorm, a head with a bias): in every layer a router over a few large experts."""

from __future__ import annotations

from quantgui.checkpoint.architectures import llama
from quantgui.checkpoint.architectures._blocks import attention, decoder, linear, norm, numbered_experts
from quantgui.checkpoint.architectures._family import Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")
    experts, shifted = keys.size("num_local_experts"), keys.model_type == "phimoe"
    bias = keys.flag("attention_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden, shifted)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden, shifted)
        yield from linear(f"{prefix}.block_sparse_moe.gate", experts, hidden)
        yield from numbered_experts(f"{prefix}.block_sparse_moe.experts", experts, hidden, inner)

    yield from decoder(keys, layer, tied=False, norm_bias=shifted)
    if keys.flag("lm_head_bias", False):
        yield "lm_head.bias", (keys.vocab,)


FAMILY = Family(("mixtral", "phimoe"), tensors, llama.kept)
