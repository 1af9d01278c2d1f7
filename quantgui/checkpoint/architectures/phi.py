"""Phi-1, 1.5 and 2: one norm a layer feeds attention and MLP in parallel; every linear layer has a bias."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import full_attention, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint, under transformers' names also for the older `phi-msft` configs."""
    hidden, head_dim = keys.hidden, keys.head_dim()
    inner = keys.size("intermediate_size", "n_inner", default=4 * hidden)
    heads, kv_heads = keys.heads * head_dim, keys.kv_heads * head_dim
    yield "model.embed_tokens.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"model.layers.{index}"
        yield from norm(f"{prefix}.input_layernorm", hidden, bias=True)
        yield from linear(f"{prefix}.self_attn.q_proj", heads, hidden, bias=True)
        yield from linear(f"{prefix}.self_attn.k_proj", kv_heads, hidden, bias=True)
        yield from linear(f"{prefix}.self_attn.v_proj", kv_heads, hidden, bias=True)
        yield from linear(f"{prefix}.self_attn.dense", hidden, heads, bias=True)
        if keys.flag("qk_layernorm", False):
            yield from norm(f"{prefix}.self_attn.q_layernorm", head_dim, bias=True)
            yield from norm(f"{prefix}.self_attn.k_layernorm", head_dim, bias=True)
        yield from linear(f"{prefix}.mlp.fc1", inner, hidden, bias=True)
        yield from linear(f"{prefix}.mlp.fc2", hidden, inner, bias=True)
    yield from norm("model.final_layernorm", hidden, bias=True)
    if not keys.tied(False):
        yield "lm_head.weight", (keys.vocab, hidden)
    yield "lm_head.bias", (keys.vocab,)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, keys.head_dim())


FAMILY = Family(("phi", "phi-msft"), tensors, kept)
