"""GPT-NeoX and Pythia: fused query/key/value, LayerNorm and biases, an untied output embedding."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, inner = keys.hidden, keys.size("intermediate_size")
    bias = keys.flag("attention_bias", True)
    yield "gpt_neox.embed_in.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"gpt_neox.layers.{index}"
        yield from norm(f"{prefix}.input_layernorm", hidden, bias=True)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden, bias=True)
        yield from linear(f"{prefix}.attention.query_key_value", 3 * hidden, hidden, bias)
        yield from linear(f"{prefix}.attention.dense", hidden, hidden, bias)
        yield from linear(f"{prefix}.mlp.dense_h_to_4h", inner, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.dense_4h_to_h", hidden, inner, bias=True)
    yield from norm("gpt_neox.final_layer_norm", hidden, bias=True)
    if not keys.tied(False):
        yield from linear("embed_out", keys.vocab, hidden)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token and head; the architecture knows no fewer KV heads."""
    return (AttentionLayer(2 * keys.hidden),) * keys.layers


FAMILY = Family(("gpt_neox",), tensors, kept)
