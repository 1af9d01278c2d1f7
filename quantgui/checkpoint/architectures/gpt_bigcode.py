"""SantaCoder and StarCoder: GPT-2's shape with one key-value head and plain linear layers."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden = keys.hidden
    inner = keys.size("n_inner", default=4 * hidden)
    yield "transformer.wte.weight", (keys.vocab, hidden)
    yield "transformer.wpe.weight", (keys.size("n_positions", "max_position_embeddings"), hidden)
    for index in range(keys.layers):
        prefix = f"transformer.h.{index}"
        yield from norm(f"{prefix}.ln_1", hidden, bias=True)
        yield from linear(f"{prefix}.attn.c_attn", hidden + _kv_width(keys), hidden, bias=True)
        yield from linear(f"{prefix}.attn.c_proj", hidden, hidden, bias=True)
        yield from norm(f"{prefix}.ln_2", hidden, bias=True)
        yield from linear(f"{prefix}.mlp.c_fc", inner, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.c_proj", hidden, inner, bias=True)
    yield from norm("transformer.ln_f", hidden, bias=True)
    if not keys.tied(True):
        yield from linear("lm_head", keys.vocab, hidden)


def _kv_width(keys: Keys) -> int:
    return 2 * (keys.head_dim() if keys.flag("multi_query", True) else keys.hidden)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return (AttentionLayer(_kv_width(keys)),) * keys.layers


FAMILY = Family(("gpt_bigcode",), tensors, kept)
