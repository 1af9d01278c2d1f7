"""Mixtral: Mistral attention, and in every layer a router over a few large experts."""

from __future__ import annotations

from quantgui.checkpoint.architectures import llama
from quantgui.checkpoint.architectures._blocks import attention, decoder, linear, norm
from quantgui.checkpoint.architectures._family import Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")
    experts = keys.size("num_local_experts")

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from linear(f"{prefix}.block_sparse_moe.gate", experts, hidden)
        for expert in range(experts):
            name = f"{prefix}.block_sparse_moe.experts.{expert}"
            yield from linear(f"{name}.w1", inner, hidden)
            yield from linear(f"{name}.w3", inner, hidden)
            yield from linear(f"{name}.w2", hidden, inner)

    return decoder(keys, layer, tied=False)


FAMILY = Family(("mixtral",), tensors, llama.kept)
