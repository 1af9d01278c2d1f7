"""Nemotron-H and Nemotron 3: each layer is one thing, a Mamba-2 mixer, attention, an MLP or experts."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.checkpoint.architectures._blocks import attention, linear, norm, plain_mlp
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import MAX_LAYERS, Keys
from quantgui.checkpoint.architectures._recurrent import Mamba2
from quantgui.types import UserError

_LETTERS: Mapping[str, str] = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
_WORDS: Mapping[str, str] = {
    "linear_attention": "mamba",
    "full_attention": "attention",
    **{word: word for word in _LETTERS.values()},
}


def tensors(keys: Keys) -> Shapes:
    """Weights of the main model."""
    kinds, mamba = layer_kinds(keys), _mamba(keys)
    yield "backbone.embeddings.weight", (keys.vocab, keys.hidden)
    for index, kind in enumerate(kinds):
        yield from _layer(f"backbone.layers.{index}", kind, keys, mamba)
    yield from norm("backbone.norm_f", keys.hidden)
    if not keys.tied(False):
        yield from linear("lm_head", keys.vocab, keys.hidden)


def extras(keys: Keys) -> Shapes:
    """The layers that predict further tokens: the first takes an embedding in, the last norms its output."""
    if not keys.count("num_nextn_predict_layers"):
        return
    hidden = keys.hidden
    kinds = _kinds(keys, "mtp_hybrid_override_pattern", "mtp_layers_block_type", default="*E")
    for index, kind in enumerate(kinds):
        prefix = f"mtp.layers.{index}"
        if index == 0:
            yield from norm(f"{prefix}.enorm", hidden)
            yield from norm(f"{prefix}.hnorm", hidden)
            yield from linear(f"{prefix}.eh_proj", hidden, 2 * hidden)
        yield from _layer(prefix, kind, keys, _mamba(keys))
        if index == len(kinds) - 1:
            yield from norm(f"{prefix}.final_layernorm", hidden)


def _layer(prefix: str, kind: str, keys: Keys, mamba: Mamba2) -> Shapes:
    yield from norm(f"{prefix}.norm", keys.hidden)
    mixer = f"{prefix}.mixer"
    if kind == "mamba":
        yield from mamba.tensors(mixer, keys.hidden)
    elif kind == "attention":
        bias = keys.flag("attention_bias", False)
        yield from attention(mixer, keys, attention_width(keys), bias, bias)
    elif kind == "mlp":
        yield from plain_mlp(mixer, keys.hidden, keys.size("intermediate_size"), keys.flag("mlp_bias", False))
    else:
        yield from _experts(mixer, keys)


def _experts(prefix: str, keys: Keys) -> Shapes:
    """Experts without gates; in the larger models they work in a narrower latent space."""
    hidden, count, inner = keys.hidden, keys.size("n_routed_experts"), keys.size("moe_intermediate_size")
    latent = keys.optional("moe_latent_size")
    yield from linear(f"{prefix}.gate", count, hidden)
    yield f"{prefix}.gate.e_score_correction_bias", (count,)
    for expert in range(count):
        yield from plain_mlp(f"{prefix}.experts.{expert}", latent or hidden, inner)
    shared = keys.count("n_shared_experts", 1)
    if shared:
        width = keys.size("moe_shared_expert_intermediate_size", default=2 * inner)
        yield from plain_mlp(f"{prefix}.shared_experts", hidden, shared * width)
    if latent:
        yield from linear(f"{prefix}.fc1_latent_proj", latent, hidden)
        yield from linear(f"{prefix}.fc2_latent_proj", hidden, latent)


def layer_kinds(keys: Keys) -> tuple[str, ...]:
    """What each layer of the main model is: "mamba", "attention", "mlp" or "moe". Raises UserError where unknown."""
    listed = "layers_block_type" if keys.value("layers_block_type") else "layer_types"
    return _kinds(keys, "hybrid_override_pattern", listed)


def _kinds(keys: Keys, pattern_name: str, list_name: str, default: str = "") -> tuple[str, ...]:
    """What each layer is: from a string of letters or a list of words."""
    words = keys.sequence(list_name)
    pattern = keys.value(pattern_name) or ("" if words else default)
    if isinstance(pattern, str) and pattern:
        kinds = [_LETTERS.get(letter) for letter in pattern]
    else:
        kinds = [_WORDS.get(word) if isinstance(word, str) else None for word in words or ()]
    if not kinds:
        raise UserError(
            f"The config does not state {pattern_name}, without which its layers are unknown.",
            hint="Use the model's complete config.json.",
        )
    if None in kinds or len(kinds) > MAX_LAYERS:
        raise UserError(f"The config's {pattern_name} names a kind of layer that is not known.")
    return tuple(kind for kind in kinds if kind)


def attention_width(keys: Keys) -> int:
    """Width of a head."""
    return keys.optional("head_dim", "attention_head_dim") or 128


def _mamba(keys: Keys) -> Mamba2:
    return Mamba2(
        heads=keys.size("mamba_num_heads"),
        head_dim=keys.size("mamba_head_dim"),
        state=keys.size("ssm_state_size"),
        groups=keys.size("n_groups", default=8),
        kernel=keys.size("conv_kernel", default=4),
        conv_bias=keys.flag("use_conv_bias", True),
        proj_bias=keys.flag("mamba_proj_bias", keys.flag("use_bias", False)),
    )


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the attention layers."""
    kinds = layer_kinds(keys)
    return (AttentionLayer(2 * keys.kv_heads * attention_width(keys)),) * kinds.count("attention")


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """State of the Mamba-2 layers."""
    kinds = layer_kinds(keys)
    return (_mamba(keys).kept(),) * kinds.count("mamba") if "mamba" in kinds else ()


FAMILY = Family(("nemotron_h",), tensors, kept, state, extras)
