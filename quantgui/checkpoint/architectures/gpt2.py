"""GPT-2: learned positions, LayerNorm and Conv1D layers, which store [inputs, outputs]."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden = keys.hidden
    inner = keys.size("n_inner", default=4 * hidden)
    yield "transformer.wte.weight", (keys.vocab, hidden)
    yield "transformer.wpe.weight", (keys.size("n_positions", "max_position_embeddings", default=1024), hidden)
    for index in range(keys.layers):
        prefix = f"transformer.h.{index}"
        yield from norm(f"{prefix}.ln_1", hidden, bias=True)
        yield from _conv1d(f"{prefix}.attn.c_attn", hidden, 3 * hidden)
        yield from _conv1d(f"{prefix}.attn.c_proj", hidden, hidden)
        yield from norm(f"{prefix}.ln_2", hidden, bias=True)
        yield from _conv1d(f"{prefix}.mlp.c_fc", hidden, inner)
        yield from _conv1d(f"{prefix}.mlp.c_proj", inner, hidden)
    yield from norm("transformer.ln_f", hidden, bias=True)
    if not keys.tied(True):
        yield "lm_head.weight", (keys.vocab, hidden)


def _conv1d(name: str, inputs: int, outputs: int) -> Shapes:
    yield f"{name}.weight", (inputs, outputs)
    yield f"{name}.bias", (outputs,)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token and head; the architecture knows no fewer KV heads."""
    return (AttentionLayer(2 * keys.hidden),) * keys.layers


FAMILY = Family(("gpt2",), tensors, kept)
