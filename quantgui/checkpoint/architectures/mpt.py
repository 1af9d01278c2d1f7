"""MPT: fused query, key and value, ALiBi, no biases, norms without shift."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm, plain_mlp
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, inner = keys.hidden, keys.size("expansion_ratio", default=4) * keys.hidden
    kv_width = _kv_heads(keys) * keys.head_dim()
    yield "transformer.wte.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"transformer.blocks.{index}"
        yield from norm(f"{prefix}.norm_1", hidden)
        yield from linear(f"{prefix}.attn.Wqkv", hidden + 2 * kv_width, hidden)
        yield from linear(f"{prefix}.attn.out_proj", hidden, hidden)
        yield from norm(f"{prefix}.norm_2", hidden)
        yield from plain_mlp(f"{prefix}.ffn", hidden, inner)
    yield from norm("transformer.norm_f", hidden)
    if not keys.tied(True):
        yield from linear("lm_head", keys.vocab, hidden)


def _kv_heads(keys: Keys) -> int:
    attention = keys.part("attn_config")
    return (attention.optional("kv_n_heads") if attention else None) or keys.heads


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return (AttentionLayer(2 * _kv_heads(keys) * keys.head_dim()),) * keys.layers


FAMILY = Family(("mpt",), tensors, kept)
