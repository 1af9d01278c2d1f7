"""DistilBERT: BERT without token types and pooler, under names of its own."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._encoder import headless, no_cache
from quantgui.checkpoint.architectures._family import Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint. Raises UserError for heads other than masked language modelling."""
    bare = headless(keys, "DistilBert")
    root, hidden, inner = "" if bare else "distilbert.", keys.hidden, keys.size("hidden_dim", "intermediate_size")
    yield f"{root}embeddings.word_embeddings.weight", (keys.vocab, hidden)
    yield f"{root}embeddings.position_embeddings.weight", (keys.size("max_position_embeddings"), hidden)
    yield from norm(f"{root}embeddings.LayerNorm", hidden, bias=True)
    for index in range(keys.layers):
        prefix = f"{root}transformer.layer.{index}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            yield from linear(f"{prefix}.attention.{part}", hidden, hidden, bias=True)
        yield from norm(f"{prefix}.sa_layer_norm", hidden, bias=True)
        yield from linear(f"{prefix}.ffn.lin1", inner, hidden, bias=True)
        yield from linear(f"{prefix}.ffn.lin2", hidden, inner, bias=True)
        yield from norm(f"{prefix}.output_layer_norm", hidden, bias=True)
    if not bare:
        yield from linear("vocab_transform", hidden, hidden, bias=True)
        yield from norm("vocab_layer_norm", hidden, bias=True)
        yield "vocab_projector.bias", (keys.vocab,)


FAMILY = Family(("distilbert",), tensors, no_cache)
