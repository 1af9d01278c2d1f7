"""Jamba: Mamba in seven of eight layers, experts in every other one."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, experts, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._recurrent import Mamba1


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, inner, count = keys.hidden, keys.size("intermediate_size"), keys.size("num_experts", default=16)
    attending = attention_layers(keys)
    expert_period, expert_offset = keys.size("expert_layer_period", default=2), keys.count("expert_layer_offset", 1)
    yield "model.embed_tokens.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"model.layers.{index}"
        yield from norm(f"{prefix}.input_layernorm", hidden)
        if index in attending:
            yield from attention(f"{prefix}.self_attn", keys, keys.head_dim())
        else:
            yield from mixer(keys).tensors(f"{prefix}.mamba", hidden)
        yield from norm(f"{prefix}.pre_ff_layernorm", hidden)
        if count > 1 and index % expert_period == expert_offset:
            yield from linear(f"{prefix}.feed_forward.router", count, hidden)
            yield from experts(f"{prefix}.feed_forward.experts", count, hidden, inner)
        else:
            yield from gated_mlp(f"{prefix}.feed_forward", hidden, inner)
    yield from norm("model.final_layernorm", hidden)
    if not keys.tied(False):
        yield from linear("lm_head", keys.vocab, hidden)


def attention_layers(keys: Keys) -> frozenset[int]:
    """Numbers of the layers with attention; the others have Mamba."""
    period, offset = keys.size("attn_layer_period", default=8), keys.count("attn_layer_offset", 4)
    return frozenset(index for index in range(keys.layers) if index % period == offset)


def mixer(keys: Keys) -> Mamba1:
    """Sizes of every Mamba layer."""
    rank = None if keys.value("mamba_dt_rank") == "auto" else keys.optional("mamba_dt_rank")
    return Mamba1(
        inner=keys.size("mamba_expand", default=2) * keys.hidden,
        state=keys.size("mamba_d_state", default=16),
        rank=rank or -(-keys.hidden // 16),
        kernel=keys.size("mamba_d_conv", default=4),
        conv_bias=keys.flag("mamba_conv_bias", True),
        proj_bias=keys.flag("mamba_proj_bias", False),
        normed=True,
    )


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the attention layers."""
    return (AttentionLayer(2 * keys.kv_heads * keys.head_dim()),) * len(attention_layers(keys))


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """State of the Mamba layers."""
    return (mixer(keys).kept(),) * (keys.layers - len(attention_layers(keys)))


FAMILY = Family(("jamba",), tensors, kept, state)
