"""Kimi Linear: Kimi delta attention in most layers, latent attention (MLA) in the others, shared and routed experts."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import decoder, gated_mlp, linear, norm, numbered_experts
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures.deepseek import latent_attention
from quantgui.types import UserError


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model. Raises UserError for Kimi K3, whose experts and attention differ."""
    if keys.value("routed_expert_hidden_size", "mla_use_output_gate", "attn_res_block_size") is not None:
        raise UserError(
            "Kimi K3's layers cannot be derived from its config yet.", hint="Open the model's folder instead."
        )
    hidden, linear_layers = keys.hidden, _linear_layers(keys)
    dense = keys.count("first_k_dense_replace", 1)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        if index in linear_layers:
            yield from _delta_attention(f"{prefix}.self_attn", keys)
        else:
            yield from latent_attention(f"{prefix}.self_attn", keys)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        if index < dense:
            yield from gated_mlp(f"{prefix}.mlp", hidden, keys.size("intermediate_size"))
        else:
            yield from _experts(f"{prefix}.block_sparse_moe", keys)

    return decoder(keys, layer, tied=False)


def _delta_attention(prefix: str, keys: Keys) -> Shapes:
    hidden, (heads, head_dim, kernel) = keys.hidden, _delta(keys)
    width = heads * head_dim
    for part in ("q", "k", "v"):
        yield from linear(f"{prefix}.{part}_proj", width, hidden)
        yield f"{prefix}.{part}_conv1d.weight", (width, 1, kernel)
    yield f"{prefix}.A_log", (1, 1, heads, 1)
    yield f"{prefix}.dt_bias", (width,)
    for part in ("f", "g"):
        yield from linear(f"{prefix}.{part}_a_proj", head_dim, hidden)
        yield from linear(f"{prefix}.{part}_b_proj", width, head_dim)
    yield from linear(f"{prefix}.b_proj", heads, hidden)
    yield from norm(f"{prefix}.o_norm", head_dim)
    yield from linear(f"{prefix}.o_proj", hidden, width)


def _experts(prefix: str, keys: Keys) -> Shapes:
    hidden, count, inner = keys.hidden, keys.size("num_experts"), keys.size("moe_intermediate_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    yield f"{prefix}.gate.e_score_correction_bias", (count,)
    yield from numbered_experts(f"{prefix}.experts", count, hidden, inner)
    shared = keys.count("num_shared_experts", 1)
    if shared:
        yield from gated_mlp(f"{prefix}.shared_experts", hidden, shared * inner)


def _delta(keys: Keys) -> tuple[int, int, int]:
    """Heads, width of a head and length of the convolution."""
    part = keys.part("linear_attn_config")
    if part is not None:
        return part.size("num_heads"), part.size("head_dim"), part.size("short_conv_kernel_size", default=4)
    return (
        keys.size("linear_num_heads"),
        keys.size("linear_head_dim"),
        keys.size("linear_conv_kernel_dim", default=4),
    )


def _linear_layers(keys: Keys) -> frozenset[int]:
    """Numbers of the layers with delta attention; the nested config counts them from one."""
    kinds, part = keys.kinds(), keys.part("linear_attn_config")
    if kinds is not None:
        return frozenset(index for index, kind in enumerate(kinds) if kind == "linear_attention")
    stated = part.indices("kda_layers") if part else None
    if stated is None:
        raise UserError(
            "The config does not state linear_attn_config, without which its layers are unknown.",
            hint="Use the model's complete config.json.",
        )
    return frozenset(number - 1 for number in stated if 0 < number <= keys.layers)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """The latent and the rotary key of the layers with latent attention."""
    latent = keys.size("kv_lora_rank") + keys.size("qk_rope_head_dim")
    return (AttentionLayer(latent),) * (keys.layers - len(_linear_layers(keys)))


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """A square matrix per head, and the inputs inside the three convolutions."""
    heads, head_dim, kernel = _delta(keys)
    return (StateLayer(3 * (kernel - 1) * heads * head_dim, heads * head_dim**2),) * len(_linear_layers(keys))


FAMILY = Family(("kimi_linear",), tensors, kept, state)
