"""Gemma 4 (text): wider heads in global layers, values that are the keys there, and in some sizes experts beside the
dense MLP, embeddings per layer, and last layers that reuse earlier keys and values."""

from __future__ import annotations

from quantgui.checkpoint.architectures import _gemma_vision
from quantgui.checkpoint.architectures._blocks import decoder, gated_mlp, linear, norm, sliding_layers
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._per_layer_inputs import layer_input, model_input
from quantgui.types import UserError

HEAD_DIM, GLOBAL_HEAD_DIM, WINDOW = 256, 512, 512
"""What transformers takes where the config states none."""
PATTERN = 6
"""Every sixth layer attends to everything, and so does the last."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model."""
    sliding, own = _sliding(keys), _own_keys(keys)
    inner = keys.size("intermediate_size")

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        yield from _attention(f"{prefix}.self_attn", keys, index, sliding[index], index < own)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        yield from norm(f"{prefix}.pre_feedforward_layernorm", keys.hidden)
        wide = 2 if keys.flag("use_double_wide_mlp", False) and index >= own else 1
        yield from gated_mlp(f"{prefix}.mlp", keys.hidden, wide * inner)
        yield from norm(f"{prefix}.post_feedforward_layernorm", keys.hidden)
        if keys.count("num_experts") and keys.flag("enable_moe_block", True):
            yield from _experts(prefix, keys)
        yield from layer_input(prefix, keys)
        yield f"{prefix}.layer_scalar", (1,)

    yield from decoder(keys, layer, tied=True)
    yield from model_input(keys)


def _attention(prefix: str, keys: Keys, index: int, slides: bool, has_own_keys: bool) -> Shapes:
    hidden, bias = keys.hidden, keys.flag("attention_bias", False)
    kv_heads, head_dim = _heads(keys, index, slides)
    yield from linear(f"{prefix}.q_proj", keys.heads * head_dim, hidden, bias)
    yield from norm(f"{prefix}.q_norm", head_dim)
    if has_own_keys:
        yield from linear(f"{prefix}.k_proj", kv_heads * head_dim, hidden, bias)
        yield from norm(f"{prefix}.k_norm", head_dim)
        if slides or not keys.flag("attention_k_eq_v", False):
            yield from linear(f"{prefix}.v_proj", kv_heads * head_dim, hidden, bias)
    yield from linear(f"{prefix}.o_proj", hidden, keys.heads * head_dim, bias)


def _experts(prefix: str, keys: Keys) -> Shapes:
    """Stacked experts beside the dense MLP; matrices are [experts, outputs, inputs]."""
    hidden, count, inner = keys.hidden, keys.size("num_experts"), keys.size("moe_intermediate_size")
    yield from linear(f"{prefix}.router.proj", count, hidden)
    yield f"{prefix}.router.scale", (hidden,)
    yield f"{prefix}.router.per_expert_scale", (count,)
    yield f"{prefix}.experts.gate_up_proj", (count, 2 * inner, hidden)
    yield f"{prefix}.experts.down_proj", (count, hidden, inner)
    for name in ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"):
        yield from norm(f"{prefix}.{name}", hidden)


def _heads(keys: Keys, index: int, slides: bool) -> tuple[int, int]:
    """KV heads and width of a head in a sliding or a global layer."""
    if slides:
        return keys.kv_heads, keys.head_dim(HEAD_DIM)
    shared = keys.flag("attention_k_eq_v", False)
    kv_heads = keys.optional("num_global_key_value_heads") if shared else None
    kv_heads = keys.of_layer(index, "num_key_value_heads") or kv_heads or keys.kv_heads
    return kv_heads, keys.of_layer(index, "head_dim") or keys.size("global_head_dim", default=GLOBAL_HEAD_DIM)


def _sliding(keys: Keys) -> tuple[bool, ...]:
    last = keys.layers - 1
    return sliding_layers(keys, lambda index: (index + 1) % PATTERN != 0 and index != last)


def _own_keys(keys: Keys) -> int:
    """Layers with keys and values of their own; those behind reuse the last ones of their kind."""
    own = keys.layers - keys.count("num_kv_shared_layers")
    if own < 1:
        raise UserError("The config's num_kv_shared_layers leave no layer with keys and values of its own.")
    return own


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the layers that have their own, kept apart even where they were projected as one."""
    window = keys.size("sliding_window", default=WINDOW)
    layers = []
    for index, slides in enumerate(_sliding(keys)[: _own_keys(keys)]):
        kv_heads, head_dim = _heads(keys, index, slides)
        layers.append(AttentionLayer(2 * kv_heads * head_dim, window if slides else None))
    return tuple(layers)


FAMILY = Family(("gemma4_text", "gemma4"), tensors, kept, extras=_gemma_vision.tower)
