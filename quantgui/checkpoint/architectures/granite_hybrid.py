"""Granite 3 MoE and Granite 4: stacked experts, a shared MLP, and in Granite 4 Mamba-2 in most layers."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, decoder, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._recurrent import Mamba2
from quantgui.types import UserError


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, mamba_layers, bias = keys.hidden, _mamba_layers(keys), keys.flag("attention_bias", False)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", hidden)
        if mamba_layers[index]:
            yield from _mamba(keys).tensors(f"{prefix}.mamba", hidden)
        else:
            yield from attention(f"{prefix}.self_attn", keys, keys.head_dim(), bias, bias)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from _feed_forward(prefix, keys)

    return decoder(keys, layer, tied=keys.model_type == "granitemoehybrid")


def _feed_forward(prefix: str, keys: Keys) -> Shapes:
    """Stacked experts where there are any, and the MLP shared by all tokens where the model has one."""
    hidden = keys.hidden
    is_granite3 = keys.model_type == "granitemoe"
    experts = keys.count("num_local_experts", 8)
    if experts:
        inner, root = keys.size("intermediate_size"), f"{prefix}.block_sparse_moe"
        yield f"{root}.input_linear.weight", (experts, 2 * inner, hidden)
        yield f"{root}.output_linear.weight", (experts, hidden, inner)
        yield from linear(f"{root}.router.layer", experts, hidden)
    shared = 0 if is_granite3 else keys.count("shared_intermediate_size", 1024 if "hybrid" in keys.model_type else 0)
    if shared:
        yield from linear(f"{prefix}.shared_mlp.input_linear", 2 * shared, hidden)
        yield from linear(f"{prefix}.shared_mlp.output_linear", hidden, shared)


def _mamba_layers(keys: Keys) -> tuple[bool, ...]:
    if keys.model_type != "granitemoehybrid":
        return (False,) * keys.layers
    kinds = keys.kinds("layer_types") or keys.kinds("layers_block_type")
    if kinds is None:
        raise UserError("The config does not state layer_types, without which its layers are unknown.")
    return tuple(kind in {"mamba", "linear_attention"} for kind in kinds)


def _mamba(keys: Keys) -> Mamba2:
    inner = keys.size("mamba_expand", default=2) * keys.hidden
    heads = keys.size("mamba_n_heads", default=128)
    head_dim = inner // heads if keys.value("mamba_d_head") in (None, "auto") else keys.size("mamba_d_head")
    return Mamba2(
        heads=heads,
        head_dim=head_dim,
        state=keys.size("mamba_d_state", default=256),
        groups=keys.size("mamba_n_groups", default=1),
        kernel=keys.size("mamba_d_conv", default=4),
        inner=inner,
        conv_bias=keys.flag("mamba_conv_bias", True),
        proj_bias=keys.flag("mamba_proj_bias", False),
    )


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the attention layers."""
    return (AttentionLayer(2 * keys.kv_heads * keys.head_dim()),) * _mamba_layers(keys).count(False)


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """State of the Mamba-2 layers."""
    layers = _mamba_layers(keys).count(True)
    return (_mamba(keys).kept(),) * layers if layers else ()


FAMILY = Family(("granitemoe", "granitemoeshared", "granitemoehybrid"), tensors, kept, state)
