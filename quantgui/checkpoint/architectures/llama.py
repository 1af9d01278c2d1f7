"""Llama, Mistral, Ministral 3, Granite, SmolLM3, Helium, Seed-OSS, Hunyuan.

Pre-norm decoders with rotary grouped-query attention and a gated MLP."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures._blocks import (
    attention,
    decoder,
    full_attention,
    gated_mlp,
    norm,
    windowed_attention,
)
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

_HEAD_DIMS: Mapping[str, int] = {"ministral3": 128, "seed_oss": 128, "helium": 128}
"""What transformers takes where these models' configs state no head_dim."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint; biases only where the config switches them on."""
    head_dim, inner = keys.head_dim(_HEAD_DIMS.get(keys.model_type)), keys.size("intermediate_size")
    is_seed = keys.model_type == "seed_oss"
    bias, mlp_bias = keys.flag("attention_bias", is_seed), keys.flag("mlp_bias", False)
    out_bias = keys.flag("attention_out_bias", False) if is_seed else bias

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, out_bias)
        if keys.model_type == "hunyuan_v1_dense":
            yield from norm(f"{prefix}.self_attn.query_layernorm", head_dim)
            yield from norm(f"{prefix}.self_attn.key_layernorm", head_dim)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, inner, mlp_bias)

    return decoder(keys, layer, tied=keys.model_type == "smollm3")


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values; Mistral's `sliding_window`, where stated, holds in every layer."""
    head_dim = keys.head_dim(_HEAD_DIMS.get(keys.model_type))
    if keys.model_type == "smollm3" and not keys.flag("use_sliding_window", False):
        return full_attention(keys, head_dim)
    return windowed_attention(keys, head_dim, lambda index: True)


FAMILY = Family(
    ("llama", "mistral", "ministral3", "granite", "smollm3", "helium", "seed_oss", "hunyuan_v1_dense"), tensors, kept
)
