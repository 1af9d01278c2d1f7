"""Keys of models with Mamba in every layer or beside attention."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures import Keys, falcon_h1, jamba, mamba
from quantgui.checkpoint.architectures._recurrent import Mamba1, Mamba2
from quantgui.formats.gguf.key_values import KeyValue, flag, u32
from quantgui.formats.gguf.metadata._shared import (
    Builder,
    expert_keys,
    head_keys,
    number,
    refuse_unless,
    rms_epsilon,
    size_keys,
    ssm_keys,
    time_is_unlimited,
)
from quantgui.formats.gguf.metadata.rope import rope_keys, rope_of
from quantgui.formats.gguf.multipliers import lists_fit, multiplier

CONTEXT = 2**20
"""What llama.cpp's converter states for models without an end; no config has a number."""
MAMBA_EPSILON, JAMBA_EPSILON, FALCON_INNER_EPSILON = 1e-5, 1e-6, 1e-6
"""Where a config does not state it."""


def _mamba(keys: Keys, prefix: str) -> list[KeyValue]:
    """The first Mamba, and Falcon's with norms of the step, B and C."""
    mixer = mamba.mixer(keys)
    assert isinstance(mixer, Mamba1)
    normed = flag(f"{prefix}.ssm.dt_b_c_rms", keys.model_type == "falcon_mamba")
    return [*_attention_free(keys, prefix, mixer.inner), *_mamba1_keys(keys, prefix, mixer), normed]


def inner_norms_fit(keys: Keys) -> bool:
    """Whether Falcon-Mamba's norms of the step, B and C add what its other norms do: llama.cpp has one number."""
    inner = number(keys, "mixer_rms_eps")
    return (FALCON_INNER_EPSILON if inner is None else inner) == (number(keys, "layer_norm_epsilon") or MAMBA_EPSILON)


def _mamba2(keys: Keys, prefix: str) -> list[KeyValue]:
    mixer = mamba.mixer(keys)
    assert isinstance(mixer, Mamba2)
    refuse_unless(mixer.groups == 1, "one norm for several groups (n_groups)")
    return [*_attention_free(keys, prefix, mixer.channels), *_mamba2_keys(keys, prefix, mixer)]


def _attention_free(keys: Keys, prefix: str, inner: int) -> list[KeyValue]:
    """Sizes of a model that is nothing but Mamba; llama.cpp wants to read zeros of the rest."""
    refuse_unless(inner == 2 * keys.hidden, "another width inside than twice the hidden size (expand)")
    return [
        u32(f"{prefix}.context_length", CONTEXT),
        u32(f"{prefix}.embedding_length", keys.hidden),
        u32(f"{prefix}.feed_forward_length", 0),
        u32(f"{prefix}.attention.head_count", 0),
        u32(f"{prefix}.block_count", keys.layers),
        rms_epsilon(keys, prefix, MAMBA_EPSILON),
    ]


def _jamba(keys: Keys, prefix: str) -> list[KeyValue]:
    """Attention without positions in some layers, which llama.cpp tells by their KV heads; experts in every other."""
    mixer, attends = jamba.mixer(keys), jamba.attention_layers(keys)
    refuse_unless(mixer.inner == 2 * keys.hidden, "another width inside than twice the hidden size (mamba_expand)")
    refuse_unless(keys.head_dim() * keys.heads == keys.hidden, "heads of another width (head_dim)")
    kv_heads = [keys.kv_heads if layer in attends else 0 for layer in range(keys.layers)]
    return [
        *size_keys(keys, prefix, kv_heads=kv_heads),
        rms_epsilon(keys, prefix, JAMBA_EPSILON),
        *_mamba1_keys(keys, prefix, mixer),
        *expert_keys(keys, prefix),
    ]


def _falcon_h1(keys: Keys, prefix: str) -> list[KeyValue]:
    """Attention and Mamba-2 side by side. Its multipliers are in the weights, see `multipliers.py`."""
    mixer, rope = falcon_h1.mixer(keys), rope_of(keys)
    refuse_unless(not keys.flag("attention_bias", False), "biases in attention (attention_bias)")
    refuse_unless(not keys.flag("projectors_bias", False), "biases of projections (projectors_bias)")
    refuse_unless(not (mixer.normed and keys.flag("mamba_norm_before_gate", True)), "a norm before the gate")
    refuse_unless(rope.kind == "default", f"scaled positions ({rope.kind})")
    refuse_unless(lists_fit(keys), "other multipliers (mlp_multipliers, ssm_multipliers)")
    one_embedding = multiplier(keys, "embedding_multiplier") == multiplier(keys, "lm_head_multiplier")
    refuse_unless(one_embedding or not keys.tied(False), "two multipliers of one embedding")
    return [
        *size_keys(keys, prefix),
        rms_epsilon(keys, prefix),
        *head_keys(keys, prefix),
        *rope_keys(keys, prefix, rope),
        u32(f"{prefix}.rope.dimension_count", keys.head_dim()),
        u32(f"{prefix}.vocab_size", keys.vocab),
        *_mamba2_keys(keys, prefix, mixer),
    ]


def _mamba1_keys(keys: Keys, prefix: str, mixer: Mamba1) -> list[KeyValue]:
    _check(keys, mixer)
    return ssm_keys(prefix, kernel=mixer.kernel, state=mixer.state, inner=mixer.inner, rank=mixer.rank)


def _mamba2_keys(keys: Keys, prefix: str, mixer: Mamba2) -> list[KeyValue]:
    _check(keys, mixer)
    refuse_unless(time_is_unlimited(keys), "limited steps of time (time_step_limit)")
    refuse_unless(mixer.channels == mixer.heads * mixer.head_dim, "heads that do not fill the width inside")
    inner, groups = mixer.channels, mixer.groups
    return ssm_keys(prefix, kernel=mixer.kernel, state=mixer.state, groups=groups, inner=inner, rank=mixer.heads)


def _check(keys: Keys, mixer: Mamba1 | Mamba2) -> None:
    refuse_unless(mixer.conv_bias, "convolutions without biases (use_conv_bias)")
    refuse_unless(not mixer.proj_bias, "biases of projections (use_bias)")
    refuse_unless(keys.value("hidden_act") in ("silu", "swish", None), "another activation (hidden_act)")


BUILDERS: Mapping[str, Builder] = {
    "falcon-h1": _falcon_h1,
    "jamba": _jamba,
    "mamba": _mamba,
    "mamba2": _mamba2,
}
"""general.architecture -> its keys."""
