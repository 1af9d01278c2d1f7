"""OLMo (norms without weights) and OLMoE (experts, norms over the whole width of query and key)."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import (
    attention,
    decoder,
    experts,
    full_attention,
    gated_mlp,
    linear,
    norm,
)
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    return _sparse(keys) if keys.model_type == "olmoe" else _dense(keys)


def _dense(keys: Keys) -> Shapes:
    inner, bias = keys.size("intermediate_size"), keys.flag("attention_bias", False)
    yield "model.embed_tokens.weight", (keys.vocab, keys.hidden)
    for index in range(keys.layers):
        prefix = f"model.layers.{index}"
        yield from attention(f"{prefix}.self_attn", keys, keys.head_dim(), bias, bias)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner)
    if not keys.tied(False):
        yield from linear("lm_head", keys.vocab, keys.hidden)


def _sparse(keys: Keys) -> Shapes:
    hidden, head_dim, count = keys.hidden, keys.head_dim(), keys.size("num_experts", default=64)
    bias = keys.flag("attention_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        yield from norm(f"{prefix}.self_attn.q_norm", hidden)
        yield from norm(f"{prefix}.self_attn.k_norm", hidden // keys.heads * keys.kv_heads)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from linear(f"{prefix}.mlp.gate", count, hidden)
        yield from experts(f"{prefix}.mlp.experts", count, hidden, keys.size("intermediate_size"))

    return decoder(keys, layer, tied=False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, keys.head_dim())


FAMILY = Family(("olmo", "olmoe"), tensors, kept)
