"""ERNIE 4.5, dense and with experts: Llama with one switch for all biases and tied embeddings."""

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
    hidden, inner, bias = keys.hidden, keys.size("intermediate_size"), keys.flag("use_bias", False)
    sparse = _sparse_layers(keys)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from attention(f"{prefix}.self_attn", keys, _head_dim(keys), bias, bias)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        if index in sparse:
            yield from _experts(f"{prefix}.mlp", keys)
        else:
            yield from gated_mlp(f"{prefix}.mlp", hidden, inner, bias)

    return decoder(keys, layer, tied=True)


def _experts(prefix: str, keys: Keys) -> Shapes:
    hidden, count, inner = keys.hidden, keys.size("moe_num_experts"), keys.size("moe_intermediate_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    yield f"{prefix}.moe_statics.e_score_correction_bias", (1, count)
    yield from experts(f"{prefix}.experts", count, hidden, inner)
    shared = keys.count("moe_num_shared_experts", 2)
    if shared:
        yield from gated_mlp(f"{prefix}.shared_experts", hidden, shared * inner, keys.flag("use_bias", False))


def _sparse_layers(keys: Keys) -> frozenset[int]:
    if keys.model_type != "ernie4_5_moe":
        return frozenset()
    first, interval = keys.count("moe_layer_start_index", 1), keys.size("moe_layer_interval", default=1)
    last = keys.value("moe_layer_end_index")
    last = keys.layers - 1 if last in (None, -1) else keys.count("moe_layer_end_index")
    return frozenset(i for i in range(keys.layers) if (i + 1) % interval == 0 and first <= i <= last)


def _head_dim(keys: Keys) -> int:
    return keys.head_dim(128 if keys.model_type == "ernie4_5" else None)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of every token."""
    return full_attention(keys, _head_dim(keys))


FAMILY = Family(("ernie4_5", "ernie4_5_moe"), tensors, kept)
