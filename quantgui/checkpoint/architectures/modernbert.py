"""ModernBERT: rotary positions, fused projections, no biases; the first layer has no norm before attention."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._encoder import headless, no_cache
from quantgui.checkpoint.architectures._family import Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint. Raises UserError for heads other than masked language modelling."""
    bare = headless(keys, "ModernBert")
    root, hidden, inner = "" if bare else "model.", keys.hidden, keys.size("intermediate_size")
    shifted = keys.flag("norm_bias", False)
    bias, mlp_bias = keys.flag("attention_bias", False), keys.flag("mlp_bias", False)
    yield f"{root}embeddings.tok_embeddings.weight", (keys.vocab, hidden)
    yield from norm(f"{root}embeddings.norm", hidden, shifted)
    for index in range(keys.layers):
        prefix = f"{root}layers.{index}"
        if index:
            yield from norm(f"{prefix}.attn_norm", hidden, shifted)
        yield from linear(f"{prefix}.attn.Wqkv", 3 * hidden, hidden, bias)
        yield from linear(f"{prefix}.attn.Wo", hidden, hidden, bias)
        yield from norm(f"{prefix}.mlp_norm", hidden, shifted)
        yield from linear(f"{prefix}.mlp.Wi", 2 * inner, hidden, mlp_bias)
        yield from linear(f"{prefix}.mlp.Wo", hidden, inner, mlp_bias)
    yield from norm(f"{root}final_norm", hidden, shifted)
    if not bare:
        yield from linear("head.dense", hidden, hidden, keys.flag("classifier_bias", False))
        yield from norm("head.norm", hidden, shifted)
        if keys.flag("decoder_bias", True):
            yield "decoder.bias", (keys.vocab,)


FAMILY = Family(("modernbert",), tensors, no_cache)
