"""Building blocks that families share: linear layers, norms, attention, feed-forward, and what attention keeps."""

from __future__ import annotations

from collections.abc import Callable

from quantgui.checkpoint.architectures._family import AttentionLayer, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.types import UserError


def linear(name: str, outputs: int, inputs: int, bias: bool = False) -> Shapes:
    """A linear layer [outputs, inputs]."""
    yield f"{name}.weight", (outputs, inputs)
    if bias:
        yield f"{name}.bias", (outputs,)


def norm(name: str, size: int, bias: bool = False) -> Shapes:
    """RMSNorm, or LayerNorm with `bias`."""
    yield f"{name}.weight", (size,)
    if bias:
        yield f"{name}.bias", (size,)


def attention(prefix: str, keys: Keys, head_dim: int, qkv_bias: bool = False, out_bias: bool = False) -> Shapes:
    """Separate query, key, value and output projections with grouped KV heads."""
    inner, kv_inner = keys.heads * head_dim, keys.kv_heads * head_dim
    yield from linear(f"{prefix}.q_proj", inner, keys.hidden, qkv_bias)
    yield from linear(f"{prefix}.k_proj", kv_inner, keys.hidden, qkv_bias)
    yield from linear(f"{prefix}.v_proj", kv_inner, keys.hidden, qkv_bias)
    yield from linear(f"{prefix}.o_proj", keys.hidden, inner, out_bias)


def gated_mlp(prefix: str, hidden: int, inner: int, bias: bool = False) -> Shapes:
    """Gate, up and down projections (SwiGLU, GeGLU)."""
    yield from linear(f"{prefix}.gate_proj", inner, hidden, bias)
    yield from linear(f"{prefix}.up_proj", inner, hidden, bias)
    yield from linear(f"{prefix}.down_proj", hidden, inner, bias)


def plain_mlp(prefix: str, hidden: int, inner: int, bias: bool = False) -> Shapes:
    """Up and down projections without a gate."""
    yield from linear(f"{prefix}.up_proj", inner, hidden, bias)
    yield from linear(f"{prefix}.down_proj", hidden, inner, bias)


def fused_mlp(prefix: str, hidden: int, inner: int) -> Shapes:
    """Gate and up projection in one matrix, and the down projection."""
    yield from linear(f"{prefix}.gate_up_proj", 2 * inner, hidden)
    yield from linear(f"{prefix}.down_proj", hidden, inner)


def experts(prefix: str, count: int, hidden: int, inner: int) -> Shapes:
    """Gated experts, each with matrices of its own."""
    for expert in range(count):
        yield from gated_mlp(f"{prefix}.{expert}", hidden, inner)


def numbered_experts(prefix: str, count: int, hidden: int, inner: int) -> Shapes:
    """Gated experts whose matrices are called w1 (gate), w3 (up) and w2 (down)."""
    for expert in range(count):
        yield from linear(f"{prefix}.{expert}.w1", inner, hidden)
        yield from linear(f"{prefix}.{expert}.w3", inner, hidden)
        yield from linear(f"{prefix}.{expert}.w2", hidden, inner)


def head_norms(prefix: str, size: int) -> Shapes:
    """A norm over every query head and one over every key head."""
    yield from norm(f"{prefix}.q_norm", size)
    yield from norm(f"{prefix}.k_norm", size)


def decoder(keys: Keys, layer: Callable[[str, int], Shapes], tied: bool, norm_bias: bool = False) -> Shapes:
    """Embedding, layers, final norm and head under the names most decoders use."""
    yield "model.embed_tokens.weight", (keys.vocab, keys.hidden)
    for index in range(keys.layers):
        yield from layer(f"model.layers.{index}", index)
    yield from norm("model.norm", keys.hidden, norm_bias)
    if not keys.tied(tied):
        yield from linear("lm_head", keys.vocab, keys.hidden)


def full_attention(keys: Keys, head_dim: int) -> tuple[AttentionLayer, ...]:
    """Every layer keeps the keys and values of every token."""
    return (AttentionLayer(2 * keys.kv_heads * head_dim),) * keys.layers


def windowed_attention(keys: Keys, head_dim: int, is_sliding: Callable[[int], bool]) -> tuple[AttentionLayer, ...]:
    """Keys and values; of the last `sliding_window` tokens only where `layer_types`, or else `is_sliding`, says so.

    Raises UserError for a kind of layer that is neither full nor sliding attention.
    """
    elements = 2 * keys.kv_heads * head_dim
    window = keys.optional("sliding_window")
    if window is None:
        return full_attention(keys, head_dim)
    return tuple(AttentionLayer(elements, window if slides else None) for slides in sliding_layers(keys, is_sliding))


def sliding_layers(keys: Keys, is_sliding: Callable[[int], bool]) -> tuple[bool, ...]:
    """Which layers slide: as `layer_types`, or else `is_sliding`, says.

    Raises UserError for a kind of layer that is neither full nor sliding attention.
    """
    kinds = keys.kinds()
    if kinds is None:
        return tuple(is_sliding(index) for index in range(keys.layers))
    if not set(kinds) <= {"full_attention", "sliding_attention"}:
        raise UserError("The config's layer_types do not match its layers.", hint="Use the model's own config.json.")
    return tuple(kind == "sliding_attention" for kind in kinds)
