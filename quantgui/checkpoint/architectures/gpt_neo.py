"""GPT-Neo: GPT-2 with plain linear layers, no biases on query, key and value, local attention in every other layer."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden = keys.hidden
    inner = keys.size("intermediate_size", default=4 * hidden)
    yield "transformer.wte.weight", (keys.vocab, hidden)
    yield "transformer.wpe.weight", (keys.size("max_position_embeddings"), hidden)
    for index in range(keys.layers):
        prefix = f"transformer.h.{index}"
        yield from norm(f"{prefix}.ln_1", hidden, bias=True)
        for part in ("q_proj", "k_proj", "v_proj"):
            yield from linear(f"{prefix}.attn.attention.{part}", hidden, hidden)
        yield from linear(f"{prefix}.attn.attention.out_proj", hidden, hidden, bias=True)
        yield from norm(f"{prefix}.ln_2", hidden, bias=True)
        yield from linear(f"{prefix}.mlp.c_fc", inner, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.c_proj", hidden, inner, bias=True)
    yield from norm("transformer.ln_f", hidden, bias=True)
    if not keys.tied(True):
        yield from linear("lm_head", keys.vocab, hidden)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every head and token: transformers keeps them all, also in local layers."""
    return (AttentionLayer(2 * keys.hidden),) * keys.layers


FAMILY = Family(("gpt_neo",), tensors, kept)
