"""Mamba, Falcon-Mamba and Mamba-2: no attention at all."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._recurrent import Mamba1, Mamba2


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    mixing = mixer(keys)
    yield "backbone.embeddings.weight", (keys.vocab, keys.hidden)
    for index in range(keys.layers):
        prefix = f"backbone.layers.{index}"
        yield from norm(f"{prefix}.norm", keys.hidden)
        yield from mixing.tensors(f"{prefix}.mixer", keys.hidden)
    yield from norm("backbone.norm_f", keys.hidden)
    if not keys.tied(keys.model_type != "mamba2"):
        yield from linear("lm_head", keys.vocab, keys.hidden)


def mixer(keys: Keys) -> Mamba1 | Mamba2:
    """Sizes of every layer's mixer."""
    kernel, conv_bias = keys.size("conv_kernel", default=4), keys.flag("use_conv_bias", True)
    bias = keys.flag("use_bias", False)
    if keys.model_type == "mamba2":
        return Mamba2(
            heads=keys.size("num_heads"),
            head_dim=keys.size("head_dim"),
            state=keys.size("state_size", default=128),
            groups=keys.size("n_groups", default=8),
            kernel=kernel,
            conv_bias=conv_bias,
            proj_bias=bias,
        )
    inner = keys.size("intermediate_size", default=keys.size("expand", default=2) * keys.hidden)
    rank = keys.optional("time_step_rank") if keys.value("time_step_rank") != "auto" else None
    return Mamba1(
        inner=inner,
        state=keys.size("state_size", default=16),
        rank=rank or -(-keys.hidden // 16),
        kernel=kernel,
        conv_bias=conv_bias,
        proj_bias=bias,
    )


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Nothing per token."""
    return ()


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """State of every layer."""
    return (mixer(keys).kept(),) * keys.layers


FAMILY = Family(("mamba", "falcon_mamba", "mamba2"), tensors, kept, state)
