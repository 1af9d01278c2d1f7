"""Gemma 3n (text): four parallel residual streams (AltUp), low-rank LAuReL branches, embeddings per layer."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import decoder, gated_mlp, linear, norm, sliding_layers
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._per_layer_inputs import layer_input, model_input
from quantgui.types import UserError

HEAD_DIM, WINDOW, PATTERN, STREAMS, RANK, SHARED = 256, 512, 5, 4, 64, 15
"""What transformers takes where the config states none: head width, window, one global layer in five, residual streams,
rank of LAuReL, layers that reuse keys and values."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model."""
    hidden, streams = keys.hidden, keys.size("altup_num_inputs", default=STREAMS)
    own, inner = _own_keys(keys), _widths(keys)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from _attention(f"{prefix}.self_attn", keys, index < own)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from norm(f"{prefix}.pre_feedforward_layernorm", hidden)
        yield from gated_mlp(f"{prefix}.mlp", hidden, inner[index])
        yield from norm(f"{prefix}.post_feedforward_layernorm", hidden)
        yield from layer_input(prefix, keys)
        yield from _altup(f"{prefix}.altup", keys, streams)
        yield from _laurel(f"{prefix}.laurel", keys)

    yield from decoder(keys, layer, tied=True)
    yield from model_input(keys)
    for index in range(streams - 1):
        yield from linear(f"model.altup_projections.{index}", hidden, hidden)
        yield from linear(f"model.altup_unembed_projections.{index}", hidden, hidden)


def _attention(prefix: str, keys: Keys, has_own_keys: bool) -> Shapes:
    hidden, head_dim, bias = keys.hidden, keys.head_dim(HEAD_DIM), keys.flag("attention_bias", False)
    yield from linear(f"{prefix}.q_proj", keys.heads * head_dim, hidden, bias)
    yield from norm(f"{prefix}.q_norm", head_dim)
    if has_own_keys:
        yield from linear(f"{prefix}.k_proj", keys.kv_heads * head_dim, hidden, bias)
        yield from linear(f"{prefix}.v_proj", keys.kv_heads * head_dim, hidden, bias)
        yield from norm(f"{prefix}.k_norm", head_dim)
    yield from linear(f"{prefix}.o_proj", hidden, keys.heads * head_dim, bias)


def _altup(prefix: str, keys: Keys, streams: int) -> Shapes:
    """Predicts and corrects the streams."""
    yield f"{prefix}.correct_output_scale", (keys.hidden,)
    yield from linear(f"{prefix}.correction_coefs", streams, streams)
    yield from linear(f"{prefix}.prediction_coefs", streams**2, streams)
    yield from linear(f"{prefix}.modality_router", streams, keys.hidden)
    yield from norm(f"{prefix}.router_norm", keys.hidden)


def _laurel(prefix: str, keys: Keys) -> Shapes:
    rank = keys.size("laurel_rank", default=RANK)
    yield from linear(f"{prefix}.linear_left", rank, keys.hidden)
    yield from linear(f"{prefix}.linear_right", keys.hidden, rank)
    yield from norm(f"{prefix}.post_laurel_norm", keys.hidden)


def _widths(keys: Keys) -> tuple[int, ...]:
    """Feed-forward width of every layer; the config states one for all, or a list."""
    if not isinstance(keys.value("intermediate_size"), list | tuple):
        return (keys.size("intermediate_size"),) * keys.layers
    return keys.sizes("intermediate_size")


def _own_keys(keys: Keys) -> int:
    own = keys.layers - keys.count("num_kv_shared_layers", SHARED)
    if own < 1:
        raise UserError("The config's num_kv_shared_layers leave no layer with keys and values of its own.")
    return own


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the layers that have their own."""
    elements, window = 2 * keys.kv_heads * keys.head_dim(HEAD_DIM), keys.size("sliding_window", default=WINDOW)
    sliding = sliding_layers(keys, lambda index: (index + 1) % PATTERN != 0)
    return tuple(AttentionLayer(elements, window if slides else None) for slides in sliding[: _own_keys(keys)])


FAMILY = Family(("gemma3n_text", "gemma3n"), tensors, kept)
