"""Tables of module names that several architectures share, and what becomes of their fused tensors."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts._layout import Shape, Split
from quantgui.types import ModelConfig, UserError

LLAMA: Mapping[str, str] = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
EXPERTS: Mapping[str, str] = {
    "mlp.experts.*.gate_proj": "ffn_gate_exps",
    "mlp.experts.*.up_proj": "ffn_up_exps",
    "mlp.experts.*.down_proj": "ffn_down_exps",
}
POST_NORMS: Mapping[str, str] = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
PER_LAYER_INPUTS: Mapping[str, str] = {
    "per_layer_input_gate": "inp_gate",
    "per_layer_projection": "proj",
    "post_per_layer_input_norm": "post_norm",
}
QWEN_MOE: Mapping[str, str] = {
    **LLAMA,
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
}
MIXTRAL_EXPERTS: Mapping[str, str] = {
    "block_sparse_moe.experts.*.w1": "ffn_gate_exps",
    "block_sparse_moe.experts.*.w2": "ffn_down_exps",
    "block_sparse_moe.experts.*.w3": "ffn_up_exps",
}


def renamed(name: str) -> Split:
    """One tensor, under another name."""
    return lambda shape, config: ((name, shape),)


def convolution(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """A convolution over time per channel: [channels, 1, taps], stored without the one."""
    return (("ssm_conv1d.weight", (shape[0], shape[-1])),)


def column(name: str) -> Split:
    """One number per head, stored as a column as Mamba-2's kernels want it: [heads] -> [heads, 1]."""
    return lambda shape, config: ((name, (*shape, 1)),)


def grouped_norm(key: str) -> Split:
    """A norm over groups of channels, the number of which config.json calls `key`: [channels] -> [groups, ...]."""

    def split(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
        groups = whole_number(config, key)
        return (("ssm_norm.weight", (groups, shape[0] // groups)),)

    return split


def gate_up_inputs_first(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """Experts [experts, inputs, 2 × inner], gate and up in one."""
    experts, hidden, both = shape
    return tuple((f"ffn_{part}_exps.weight", (experts, both // 2, hidden)) for part in ("gate", "up"))


def gate_up_outputs_first(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """Experts [experts, 2 × inner, inputs], gate and up in one."""
    experts, both, hidden = shape
    return gate_up_inputs_first((experts, hidden, both), config)


def shared_gate_up(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """Granite's MLP beside the experts, gate and up in one; the only MLP where there are no experts."""
    suffix = "_shexp" if config.raw.get("num_local_experts") else ""
    return tuple((f"ffn_{part}{suffix}.weight", (shape[0] // 2, *shape[1:])) for part in ("gate", "up"))


def shared_down(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """The output of the MLP of `shared_gate_up`."""
    suffix = "_shexp" if config.raw.get("num_local_experts") else ""
    return ((f"ffn_down{suffix}.weight", shape),)


def down_inputs_first(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """Experts [experts, inner, outputs]."""
    experts, inner, hidden = shape
    return (("ffn_down_exps.weight", (experts, hidden, inner)),)


def gate_up_either_way(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """Experts of Qwen3-VL, published with inputs first and saved by transformers 5 with outputs first."""
    outputs_first = shape[-1] == whole_number(config, "hidden_size") != shape[1]
    return (gate_up_outputs_first if outputs_first else gate_up_inputs_first)(shape, config)


def down_either_way(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """The outputs of these experts."""
    outputs_first = shape[1] == whole_number(config, "hidden_size") != shape[-1]
    return (("ffn_down_exps.weight", shape),) if outputs_first else down_inputs_first(shape, config)


def latent_key_value(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """DeepSeek's kv_b_proj, taken apart per head as llama.cpp's latent attention absorbs it: keys transposed."""
    rest, value = whole_number(config, "qk_nope_head_dim"), whole_number(config, "v_head_dim")
    heads, latent = shape[0] // (rest + value), shape[1]
    return ("attn_k_b.weight", (heads, latent, rest)), ("attn_v_b.weight", (heads, value, latent))


def whole_number(config: ModelConfig, name: str) -> int:
    """A value of config.json that must be a positive whole number; raises UserError where it is not."""
    text = config.raw.get("text_config")
    value = (text if isinstance(text, Mapping) else config.raw).get(name, config.raw.get(name))
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"The config's {name} is {value!r}, which is not a possible size.")
    return value
