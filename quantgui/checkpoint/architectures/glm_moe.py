"""GLM-4.5 to 4.7 and dots.llm1: grouped-query attention with DeepSeek's experts behind some dense layers."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import (
    attention,
    decoder,
    full_attention,
    gated_mlp,
    head_norms,
    norm,
)
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._next_tokens import next_token_layers
from quantgui.checkpoint.architectures.deepseek import routed_experts


def tensors(keys: Keys) -> Shapes:
    """Weights of the main model."""
    dense = keys.count("first_k_dense_replace", 1 if keys.model_type == "glm4_moe" else 0)

    def layer(prefix: str, index: int) -> Shapes:
        return _layer(prefix, keys, index < dense)

    return decoder(keys, layer, tied=False)


def extras(keys: Keys) -> Shapes:
    """The layers that predict further tokens."""
    return next_token_layers(keys, lambda prefix: _layer(prefix, keys, is_dense=False))


def _layer(prefix: str, keys: Keys, is_dense: bool) -> Shapes:
    hidden, head_dim = keys.hidden, keys.head_dim()
    bias = keys.flag("attention_bias", False)
    yield from norm(f"{prefix}.input_layernorm", hidden)
    yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias and keys.model_type == "dots1")
    if keys.flag("use_qk_norm", keys.model_type == "dots1"):
        yield from head_norms(f"{prefix}.self_attn", head_dim)
    yield from norm(f"{prefix}.post_attention_layernorm", hidden)
    if is_dense:
        yield from gated_mlp(f"{prefix}.mlp", hidden, keys.size("intermediate_size"))
    else:
        yield from routed_experts(f"{prefix}.mlp", keys)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, keys.head_dim())


FAMILY = Family(("glm4_moe", "dots1"), tensors, kept, extras=extras)
