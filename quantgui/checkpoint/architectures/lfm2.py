"""LFM2, dense and with experts: short gated convolutions in most layers, attention with head norms in the others."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm, numbered_experts
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.types import UserError


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, attending = keys.hidden, attention_layers(keys)
    yield "model.embed_tokens.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"model.layers.{index}"
        yield from norm(f"{prefix}.operator_norm", hidden)
        if index in attending:
            yield from _attention(f"{prefix}.self_attn", keys)
        else:
            yield from _convolution(f"{prefix}.conv", keys)
        yield from norm(f"{prefix}.ffn_norm", hidden)
        yield from _feed_forward(f"{prefix}.feed_forward", keys, index)
    yield from norm("model.embedding_norm", hidden)
    if not keys.flag("tie_embedding", keys.tied(True)):
        yield from linear("lm_head", keys.vocab, hidden)


def _attention(prefix: str, keys: Keys) -> Shapes:
    hidden, head_dim = keys.hidden, keys.head_dim()
    yield from linear(f"{prefix}.q_proj", keys.heads * head_dim, hidden)
    yield from linear(f"{prefix}.k_proj", keys.kv_heads * head_dim, hidden)
    yield from linear(f"{prefix}.v_proj", keys.kv_heads * head_dim, hidden)
    yield from linear(f"{prefix}.out_proj", hidden, keys.heads * head_dim)
    yield from norm(f"{prefix}.q_layernorm", head_dim)
    yield from norm(f"{prefix}.k_layernorm", head_dim)


def _convolution(prefix: str, keys: Keys) -> Shapes:
    hidden, bias = keys.hidden, keys.flag("conv_bias", False)
    yield from linear(f"{prefix}.in_proj", 3 * hidden, hidden, bias)
    yield f"{prefix}.conv.weight", (hidden, 1, keys.size("conv_L_cache", default=3))
    if bias:
        yield f"{prefix}.conv.bias", (hidden,)
    yield from linear(f"{prefix}.out_proj", hidden, hidden, bias)


def _feed_forward(prefix: str, keys: Keys, index: int) -> Shapes:
    hidden = keys.hidden
    if keys.model_type == "lfm2_moe" and index >= keys.count("num_dense_layers", 2):
        count = keys.size("num_experts")
        yield from linear(f"{prefix}.gate", count, hidden)
        if keys.flag("use_expert_bias", True):
            yield f"{prefix}.expert_bias", (count,)
        yield from numbered_experts(f"{prefix}.experts", count, hidden, keys.size("moe_intermediate_size"))
        return
    inner = inner_size(keys)
    yield from linear(f"{prefix}.w1", inner, hidden)
    yield from linear(f"{prefix}.w3", inner, hidden)
    yield from linear(f"{prefix}.w2", hidden, inner)


def inner_size(keys: Keys) -> int:
    """The dense width: two thirds of the stated one, scaled and rounded up, unless the config switches that off."""
    stated = keys.size("intermediate_size", "block_ff_dim")
    if keys.model_type == "lfm2_moe" or not keys.flag("block_auto_adjust_ff_dim", True):
        return stated
    factor = keys.value("block_ffn_dim_multiplier")
    factor = 1.0 if factor is None else factor
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < 100:
        raise UserError(f"The config's block_ffn_dim_multiplier is {factor!r}, which is not a possible factor.")
    multiple = keys.size("block_multiple_of", default=256)
    return -(-int(factor * int(2 * stated / 3)) // multiple) * multiple


def attention_layers(keys: Keys) -> frozenset[int]:
    """Numbers of the layers that attend; the others convolve."""
    kinds = keys.kinds()
    if kinds is not None:
        return frozenset(index for index, kind in enumerate(kinds) if kind == "full_attention")
    stated = keys.indices("full_attn_idxs")
    return frozenset(range(keys.layers)) if stated is None else stated & frozenset(range(keys.layers))


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the attention layers."""
    return (AttentionLayer(2 * keys.kv_heads * keys.head_dim()),) * len(attention_layers(keys))


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """The inputs inside the convolutions."""
    inside = (keys.size("conv_L_cache", default=3) - 1) * keys.hidden
    return (StateLayer(inside, 0),) * (keys.layers - len(attention_layers(keys)))


FAMILY = Family(("lfm2", "lfm2_moe"), tensors, kept, state)
