"""Falcon 7B, 40B, 180B and 11B: fused query/key/value with few KV heads, attention and MLP in parallel."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def kv_heads(keys: Keys) -> int:
    """KV heads: stated ones count in the new architecture only; the old one has one (multi-query) or all."""
    if keys.flag("new_decoder_architecture", False):
        return keys.kv_heads
    return 1 if keys.flag("multi_query", True) else keys.heads


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim = keys.hidden, keys.head_dim()
    inner = keys.size("ffn_hidden_size", "intermediate_size", default=4 * hidden)
    bias = keys.flag("bias", False)
    yield "transformer.word_embeddings.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"transformer.h.{index}"
        yield from _norms(prefix, keys)
        rows = (keys.heads + 2 * kv_heads(keys)) * head_dim
        yield from linear(f"{prefix}.self_attention.query_key_value", rows, hidden, bias)
        yield from linear(f"{prefix}.self_attention.dense", hidden, keys.heads * head_dim, bias)
        yield from linear(f"{prefix}.mlp.dense_h_to_4h", inner, hidden, bias)
        yield from linear(f"{prefix}.mlp.dense_4h_to_h", hidden, inner, bias)
    yield from norm("transformer.ln_f", hidden, bias=True)
    if not keys.tied(True):
        yield from linear("lm_head", keys.vocab, hidden)


def _norms(prefix: str, keys: Keys) -> Shapes:
    if keys.flag("new_decoder_architecture", False) and keys.size("num_ln_in_parallel_attn", default=2) == 2:
        yield from norm(f"{prefix}.ln_attn", keys.hidden, bias=True)
        yield from norm(f"{prefix}.ln_mlp", keys.hidden, bias=True)
        return
    yield from norm(f"{prefix}.input_layernorm", keys.hidden, bias=True)
    if not keys.flag("parallel_attn", True):
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden, bias=True)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return (AttentionLayer(2 * kv_heads(keys) * keys.head_dim()),) * keys.layers


FAMILY = Family(("falcon",), tensors, kept)
