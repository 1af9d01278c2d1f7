"""InternLM2: Llama under its own names, with query, key and value in one matrix."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import full_attention, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")
    bias = keys.flag("bias", False)
    yield "model.tok_embeddings.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"model.layers.{index}"
        yield from norm(f"{prefix}.attention_norm", hidden)
        yield from linear(f"{prefix}.attention.wqkv", (keys.heads + 2 * keys.kv_heads) * head_dim, hidden, bias)
        yield from linear(f"{prefix}.attention.wo", hidden, keys.heads * head_dim, bias)
        yield from norm(f"{prefix}.ffn_norm", hidden)
        yield from linear(f"{prefix}.feed_forward.w1", inner, hidden)
        yield from linear(f"{prefix}.feed_forward.w3", inner, hidden)
        yield from linear(f"{prefix}.feed_forward.w2", hidden, inner)
    yield from norm("model.norm", hidden)
    if not keys.tied(False):
        yield from linear("output", keys.vocab, hidden)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, keys.head_dim())


FAMILY = Family(("internlm2",), tensors, kept)
