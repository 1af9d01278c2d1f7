"""OPT: LayerNorm, biases, learned positions with an offset of two; the smallest projects its embeddings."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

POSITION_OFFSET = 2


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, inner, root = keys.hidden, keys.size("ffn_dim", "intermediate_size"), "model.decoder"
    embedding, bias = keys.size("word_embed_proj_dim", default=hidden), keys.flag("enable_bias", True)
    yield f"{root}.embed_tokens.weight", (keys.vocab, embedding)
    yield f"{root}.embed_positions.weight", (keys.size("max_position_embeddings") + POSITION_OFFSET, hidden)
    if embedding != hidden:
        yield from linear(f"{root}.project_in", hidden, embedding)
        yield from linear(f"{root}.project_out", embedding, hidden)
    for index in range(keys.layers):
        prefix = f"{root}.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{prefix}.self_attn.{part}", hidden, hidden, bias)
        yield from norm(f"{prefix}.self_attn_layer_norm", hidden, bias=True)
        yield from linear(f"{prefix}.fc1", inner, hidden, bias)
        yield from linear(f"{prefix}.fc2", hidden, inner, bias)
        yield from norm(f"{prefix}.final_layer_norm", hidden, bias=True)
    if keys.flag("do_layer_norm_before", True) and not keys.flag("_remove_final_layer_norm", False):
        yield from norm(f"{root}.final_layer_norm", hidden, bias=True)
    if not keys.tied(True):
        yield from linear("lm_head", keys.vocab, embedding)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every head and token."""
    return (AttentionLayer(2 * keys.hidden),) * keys.layers


FAMILY = Family(("opt",), tensors, kept)
