"""BLOOM: fused query, key and value, ALiBi instead of positions, a norm behind the embedding."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint as transformers saves it; the oldest files lack the leading `transformer.`."""
    hidden = keys.hidden
    yield "transformer.word_embeddings.weight", (keys.vocab, hidden)
    yield from norm("transformer.word_embeddings_layernorm", hidden, bias=True)
    for index in range(keys.layers):
        prefix = f"transformer.h.{index}"
        yield from norm(f"{prefix}.input_layernorm", hidden, bias=True)
        yield from linear(f"{prefix}.self_attention.query_key_value", 3 * hidden, hidden, bias=True)
        yield from linear(f"{prefix}.self_attention.dense", hidden, hidden, bias=True)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden, bias=True)
        yield from linear(f"{prefix}.mlp.dense_h_to_4h", 4 * hidden, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.dense_4h_to_h", hidden, 4 * hidden, bias=True)
    yield from norm("transformer.ln_f", hidden, bias=True)
    if not keys.tied(True):
        yield from linear("lm_head", keys.vocab, hidden)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every head and token."""
    return (AttentionLayer(2 * keys.hidden),) * keys.layers


FAMILY = Family(("bloom",), tensors, kept)
