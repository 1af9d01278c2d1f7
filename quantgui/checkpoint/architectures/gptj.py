"""GPT-J: attention and MLP in parallel behind one norm, a head with a bias."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden = keys.hidden
    inner = keys.size("n_inner", default=4 * hidden)
    yield "transformer.wte.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"transformer.h.{index}"
        yield from norm(f"{prefix}.ln_1", hidden, bias=True)
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from linear(f"{prefix}.attn.{part}", hidden, hidden)
        yield from linear(f"{prefix}.mlp.fc_in", inner, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.fc_out", hidden, inner, bias=True)
    yield from norm("transformer.ln_f", hidden, bias=True)
    if not keys.tied(False):
        yield from linear("lm_head", keys.vocab, hidden)
    yield "lm_head.bias", (keys.vocab,)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every head and token."""
    return (AttentionLayer(2 * keys.hidden),) * keys.layers


FAMILY = Family(("gptj",), tensors, kept)
