"""Qwen3-Next, Qwen3.5 and Qwen3.6, dense and with experts: three gated delta nets for every full attention."""

from __future__ import annotations

from quantgui.checkpoint.architectures import _qwen_vision
from quantgui.checkpoint.architectures._blocks import decoder, experts, gated_mlp, head_norms, linear, norm
from quantgui.checkpoint.architectures._family import AttentionLayer, Family, Shapes, StateLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.checkpoint.architectures._recurrent import GatedDelta
from quantgui.types import UserError

HEAD_DIM = 256
"""What transformers takes where the config states no head_dim."""


def tensors(keys: Keys) -> Shapes:
    """Weights of the language model."""
    delta, linear_layers = _delta(keys), _linear_layers(keys)

    def layer(prefix: str, index: int) -> Shapes:
        yield from norm(f"{prefix}.input_layernorm", keys.hidden)
        if linear_layers[index]:
            yield from delta.tensors(f"{prefix}.linear_attn", keys.hidden)
        else:
            yield from _attention(f"{prefix}.self_attn", keys)
        yield from norm(f"{prefix}.post_attention_layernorm", keys.hidden)
        yield from _feed_forward(f"{prefix}.mlp", keys)

    return decoder(keys, layer, tied=False)


def extras(keys: Keys) -> Shapes:
    """The vision tower, and the layers that predict further tokens (Qwen3.5 on)."""
    yield from _qwen_vision.tower(keys)
    depth = keys.count("mtp_num_hidden_layers")
    if not depth:
        return
    hidden = keys.hidden
    yield from linear("mtp.fc", hidden, 2 * hidden)
    for index in range(depth):
        prefix = f"mtp.layers.{index}"
        yield from norm(f"{prefix}.input_layernorm", hidden)
        yield from _attention(f"{prefix}.self_attn", keys)
        yield from norm(f"{prefix}.post_attention_layernorm", hidden)
        yield from _feed_forward(f"{prefix}.mlp", keys)
    for name in ("norm", "pre_fc_norm_embedding", "pre_fc_norm_hidden"):
        yield from norm(f"mtp.{name}", hidden)


def _attention(prefix: str, keys: Keys) -> Shapes:
    """Grouped-query attention whose query projection also yields a gate for the output."""
    head_dim, bias = keys.head_dim(HEAD_DIM), keys.flag("attention_bias", False)
    gated = 2 if keys.flag("attn_output_gate", True) else 1
    yield from linear(f"{prefix}.q_proj", gated * keys.heads * head_dim, keys.hidden, bias)
    yield from linear(f"{prefix}.k_proj", keys.kv_heads * head_dim, keys.hidden, bias)
    yield from linear(f"{prefix}.v_proj", keys.kv_heads * head_dim, keys.hidden, bias)
    yield from linear(f"{prefix}.o_proj", keys.hidden, keys.heads * head_dim, bias)
    yield from head_norms(prefix, head_dim)


def _feed_forward(prefix: str, keys: Keys) -> Shapes:
    hidden, count = keys.hidden, keys.count("num_experts")
    if ("moe" not in keys.model_type and keys.model_type != "qwen3_next") or not count:
        yield from gated_mlp(prefix, hidden, keys.size("intermediate_size"))
        return
    yield from linear(f"{prefix}.gate", count, hidden)
    yield from experts(f"{prefix}.experts", count, hidden, keys.size("moe_intermediate_size"))
    yield from gated_mlp(f"{prefix}.shared_expert", hidden, keys.size("shared_expert_intermediate_size"))
    yield from linear(f"{prefix}.shared_expert_gate", 1, hidden)


def _delta(keys: Keys) -> GatedDelta:
    return GatedDelta(
        keys.size("linear_num_key_heads"),
        keys.size("linear_num_value_heads"),
        keys.size("linear_key_head_dim"),
        keys.size("linear_value_head_dim"),
        keys.size("linear_conv_kernel_dim", default=4),
        joint_inputs=keys.model_type == "qwen3_next",
    )


def _linear_layers(keys: Keys) -> tuple[bool, ...]:
    kinds = keys.kinds()
    if kinds is None:
        interval = keys.size("full_attention_interval", default=4)
        return tuple((index + 1) % interval != 0 for index in range(keys.layers))
    if not set(kinds) <= {"linear_attention", "full_attention"}:
        raise UserError("The config's layer_types do not match its layers.", hint="Use the model's own config.json.")
    return tuple(kind == "linear_attention" for kind in kinds)


def kept(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Keys and values of the full attention layers."""
    layers = len(_linear_layers(keys)) - sum(_linear_layers(keys))
    return (AttentionLayer(2 * keys.kv_heads * keys.head_dim(HEAD_DIM)),) * layers


def state(keys: Keys) -> tuple[StateLayer, ...]:
    """The state of the linear attention layers."""
    return (_delta(keys).kept(),) * sum(_linear_layers(keys))


FAMILY = Family(
    ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"), tensors, kept, state, extras
)
