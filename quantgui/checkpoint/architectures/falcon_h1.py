"""Falcon-H1 (attention and Mamba-2 side by side in every layer) and Bamba (one or the other)."""

from __future__ import annotations

from quantgui.checkpoint.architectures._blocks import attention, gated_mlp, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._recurrent import Mamba2


def tensors(keys: Keys) -> Shapes:
    """Weights of the checkpoint."""
    hidden, head_dim, inner = keys.hidden, keys.head_dim(), keys.size("intermediate_size")
    bias, mlp_bias = keys.flag("attention_bias", False), keys.flag("mlp_bias", False)
    attending, mamba = _attention_layers(keys), mixer(keys)
    yield "model.embed_tokens.weight", (keys.vocab, hidden)
    for index in range(keys.layers):
        prefix = f"model.layers.{index}"
        yield from norm(f"{prefix}.input_layernorm", hidden)
        if index in attending:
            yield from attention(f"{prefix}.self_attn", keys, head_dim, bias, bias)
        if _is_parallel(keys) or index not in attending:
            yield from mamba.tensors(f"{prefix}.mamba", hidden)
        yield from norm(f"{prefix}.pre_ff_layernorm", hidden)
        yield from gated_mlp(f"{prefix}.feed_forward", hidden, inner, mlp_bias)
    yield from norm("model.final_layernorm", hidden)
    if not keys.tied(False):
        yield from linear("lm_head", keys.vocab, hidden)


def _is_parallel(keys: Keys) -> bool:
    return keys.model_type == "falcon_h1"


def _attention_layers(keys: Keys) -> frozenset[int]:
    if _is_parallel(keys):
        return frozenset(range(keys.layers))
    return frozenset(index for index in keys.indices("attn_layer_indices") or () if index < keys.layers)


def mixer(keys: Keys) -> Mamba2:
    """Sizes of every layer's Mamba-2."""
    parallel = _is_parallel(keys)
    inner = keys.optional("mamba_d_ssm") if parallel else None
    inner = inner or keys.size("mamba_expand", default=2) * keys.hidden
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
        normed=keys.flag("mamba_rms_norm", False) if parallel else True,
    )


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the layers with attention."""
    return (AttentionLayer(2 * keys.kv_heads * keys.head_dim()),) * len(_attention_layers(keys))


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """State of the layers with Mamba-2."""
    layers = keys.layers if _is_parallel(keys) else keys.layers - len(_attention_layers(keys))
    return (mixer(keys).kept(),) * layers


FAMILY = Family(("falcon_h1", "bamba"), tensors, kept, state)
