"""Step-3.5 and 3.7 Flash: stacked experts with a shared one after dense first layers, more heads in sliding layers."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import decoder, gated_mlp, head_norms, linear, norm, sliding_layers
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys

DENSE_LAYERS = 3
"""What transformers takes where the config says nothing about its experts' layers."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model; expert matrices are [experts, outputs, inputs]."""
    hidden, dense, sliding = keys.hidden, _dense_layers(keys), _sliding(keys)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from _attention(f"{prefix}.self_attn", keys, sliding[index])
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        if index in dense:
            yield from gated_mlp(f"{prefix}.mlp", hidden, keys.size("intermediate_size"))
        else:
            yield from _experts(prefix, keys)

    return decoder(keys, layer, tied=False)


def _attention(prefix: str, keys: Keys, slides: bool) -> Shapes:
    """Attention with a gate per head."""
    hidden, head_dim, kv_inner = keys.hidden, keys.head_dim(), keys.kv_heads * keys.head_dim()
    heads = _sliding_heads(keys) if slides else keys.heads
    yield from linear(f"{prefix}.q_proj", heads * head_dim, hidden)
    yield from linear(f"{prefix}.k_proj", kv_inner, hidden)
    yield from linear(f"{prefix}.v_proj", kv_inner, hidden)
    yield from linear(f"{prefix}.g_proj", heads, hidden)
    yield from linear(f"{prefix}.o_proj", hidden, heads * head_dim)
    yield from head_norms(prefix, head_dim)


def _experts(prefix: str, keys: Keys) -> Shapes:
    hidden, inner = keys.hidden, keys.size("moe_intermediate_size")
    count = keys.size("moe_num_experts", "n_routed_experts", "num_experts")
    yield from linear(f"{prefix}.moe.gate", count, hidden)
    yield f"{prefix}.moe.router_bias", (count,)
    yield f"{prefix}.moe.gate_proj.weight", (count, inner, hidden)
    yield f"{prefix}.moe.up_proj.weight", (count, inner, hidden)
    yield f"{prefix}.moe.down_proj.weight", (count, hidden, inner)
    yield from gated_mlp(f"{prefix}.share_expert", hidden, keys.size("share_expert_dim", default=inner))


def _sliding_heads(keys: Keys) -> int:
    other = keys.part("attention_other_setting")
    stated = other.optional("num_attention_heads") if other else None
    return stated or keys.size("num_sliding_attention_heads", default=keys.heads)


def _dense_layers(keys: Keys) -> frozenset[int]:
    kinds = keys.kinds("mlp_layer_types")
    if kinds is not None:
        return frozenset(index for index, kind in enumerate(kinds) if kind == "dense")
    stated = keys.value("moe_layers_enum")
    if isinstance(stated, str):
        sparse = {int(word) for word in stated.split(",") if word.strip().isdecimal()}
        return frozenset(range(keys.layers)) - sparse
    return frozenset(range(min(keys.count("first_k_dense_replace", DENSE_LAYERS), keys.layers)))


def _sliding(keys: Keys) -> tuple[bool, ...]:
    return sliding_layers(keys, lambda index: False)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values."""
    elements, window = 2 * keys.kv_heads * keys.head_dim(), keys.optional("sliding_window")
    return tuple(AttentionLayer(elements, window if slides else None) for slides in _sliding(keys))


FAMILY = Family(("step3p5", "step3p7", "step3p7_text"), tensors, kept)
