"""MiMo-V2-Flash: sliding layers with sinks and KV heads of their own, narrower values, experts after a dense layer."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import decoder, experts, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.types import UserError


def tensors(keys: Keys) -> Shapes:
    """Weights of the main model."""
    hidden, sliding, sparse = keys.hidden, _sliding(keys), _sparse(keys)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from _attention(f"{prefix}.self_attn", keys, sliding[index])
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        if index not in sparse:
            yield from gated_mlp(f"{prefix}.mlp", hidden, keys.size("intermediate_size"))
            return
        count = keys.size("n_routed_experts")
        yield from linear(f"{prefix}.mlp.gate", count, hidden)
        yield f"{prefix}.mlp.gate.e_score_correction_bias", (count,)
        yield from experts(f"{prefix}.mlp.experts", count, hidden, keys.size("moe_intermediate_size"))

    return decoder(keys, layer, tied=False)


def _attention(prefix: str, keys: Keys, slides: bool) -> Shapes:
    hidden, bias = keys.hidden, keys.flag("attention_bias", False)
    heads, kv_heads, head_dim, value_dim = _heads(keys, slides)
    yield from linear(f"{prefix}.q_proj", heads * head_dim, hidden, bias)
    yield from linear(f"{prefix}.k_proj", kv_heads * head_dim, hidden, bias)
    yield from linear(f"{prefix}.v_proj", kv_heads * value_dim, hidden, bias)
    yield from linear(f"{prefix}.o_proj", hidden, heads * value_dim)
    if keys.flag("add_swa_attention_sink_bias", True) if slides else keys.flag("add_full_attention_sink_bias", False):
        yield f"{prefix}.attention_sink_bias", (heads,)


def _heads(keys: Keys, slides: bool) -> tuple[int, int, int, int]:
    """Query heads, KV heads, width of a key and of a value."""
    head_dim = keys.head_dim()
    full = (keys.heads, keys.kv_heads, head_dim, keys.size("v_head_dim", default=head_dim))
    if not slides:
        return full
    names = ("swa_num_attention_heads", "swa_num_key_value_heads", "swa_head_dim", "swa_v_head_dim")
    return tuple(keys.size(name, default=size) for name, size in zip(names, full, strict=True))  # type: ignore[return-value]


def _sliding(keys: Keys) -> tuple[bool, ...]:
    kinds, pattern = keys.kinds(), keys.sequence("hybrid_layer_pattern")
    if kinds is not None:
        return tuple(kind == "sliding_attention" for kind in kinds)
    if pattern is None or len(pattern) < keys.layers:
        raise UserError(
            "The config does not state hybrid_layer_pattern, without which its layers are unknown.",
            hint="Use the model's complete config.json.",
        )
    return tuple(flag == 1 for flag in pattern[: keys.layers])


def _sparse(keys: Keys) -> frozenset[int]:
    kinds, flags = keys.kinds("mlp_layer_types"), keys.sequence("moe_layer_freq")
    if kinds is not None:
        return frozenset(index for index, kind in enumerate(kinds) if kind == "sparse")
    if flags is None:
        return frozenset(range(1, keys.layers))
    return frozenset(index for index, flag in enumerate(flags[: keys.layers]) if flag)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values."""
    window = keys.size("sliding_window", default=128)
    layers = []
    for slides in _sliding(keys):
        _, kv_heads, head_dim, value_dim = _heads(keys, slides)
        layers.append(AttentionLayer(kv_heads * (head_dim + value_dim), window if slides else None))
    return tuple(layers)


FAMILY = Family(("mimo_v2_flash",), tensors, kept)
