"""What each architecture's tensors are called in GGUF: data only; `names.py` holds the one mechanism that applies it.

Sources: llama.cpp's converters and `gguf.get_tensor_name_map`, against which the tests hold every name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from quantgui.types import ModelConfig, UserError

Shape = tuple[int, ...]
Split = Callable[[Shape, ModelConfig], tuple[tuple[str, Shape], ...]]
"""Shape of one Hugging Face tensor -> name inside the layer and shape of each GGUF tensor made of it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How one architecture is stored. Keys are module names inside a layer, values GGUF's names inside `blk.N`."""

    architecture: str  # general.architecture
    modules: Mapping[str, str]
    stacks: Mapping[str, str] = field(default_factory=dict)  # "mlp.experts.*.up_proj": one 3-D tensor of many
    splits: Mapping[str, Split] = field(default_factory=dict)  # whole name inside the layer -> several tensors
    transposed: frozenset[str] = frozenset()  # modules stored [inputs, outputs]
    drops_tied_head: bool = False  # a head that is stored although it is tied is left out


TOP: Mapping[str, str] = {
    "embed_tokens": "token_embd",
    "wte": "token_embd",
    "word_embeddings": "token_embd",
    "embed_in": "token_embd",
    "tok_embeddings": "token_embd",
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.LayerNorm": "token_embd_norm",
    "wpe": "position_embd",
    "norm": "output_norm",
    "ln_f": "output_norm",
    "final_layer_norm": "output_norm",
    "final_layernorm": "output_norm",
    "lm_head": "output",
    "embed_out": "output",
    "output": "output",
}
"""Module outside the layers, without the names of the models around it -> its name in GGUF."""

DROPPED = (
    r"rotary_emb\.inv_freq$",
    r"(attn|attention)\.(bias|masked_bias)$",
    r"embeddings\.position_ids$",
    r"^(bert\.)?pooler\.",
    r"^cls\.",
    r"(^|\.)(visual|vision_tower|vision_model|multi_modal_projector|audio_tower|mtp)\.",
    r"_proj_scales$",
)
"""Buffers, and parts that do not belong to the language model or (scales of packed experts) to another tensor."""

_LLAMA: Mapping[str, str] = {
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
_EXPERTS: Mapping[str, str] = {
    "mlp.experts.*.gate_proj": "ffn_gate_exps",
    "mlp.experts.*.up_proj": "ffn_up_exps",
    "mlp.experts.*.down_proj": "ffn_down_exps",
}
_POST_NORMS: Mapping[str, str] = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
_QWEN_MOE: Mapping[str, str] = {
    **_LLAMA,
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
}
_MIXTRAL_EXPERTS: Mapping[str, str] = {
    "block_sparse_moe.experts.*.w1": "ffn_gate_exps",
    "block_sparse_moe.experts.*.w2": "ffn_down_exps",
    "block_sparse_moe.experts.*.w3": "ffn_up_exps",
}
_DEEPSEEK: Mapping[str, str] = {
    **_LLAMA,
    "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_a_layernorm": "attn_q_a_norm",
    "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}
_PHI: Mapping[str, str] = {
    **_LLAMA,
    "self_attn.dense": "attn_output",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
_PHI3: Mapping[str, str] = {**_LLAMA, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}
_GPT2: Mapping[str, str] = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}
_GPT_NEOX: Mapping[str, str] = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}
_FALCON: Mapping[str, str] = {
    "input_layernorm": "attn_norm",
    "ln_mlp": "attn_norm",
    "ln_attn": "attn_norm_2",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}
_INTERNLM2: Mapping[str, str] = {
    "attention.wo": "attn_output",
    "attention_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "feed_forward.w1": "ffn_gate",
    "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up",
}
_BERT: Mapping[str, str] = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_GPT_OSS: Mapping[str, str] = {
    **_LLAMA,
    "post_attention_layernorm": "post_attention_norm",
    "mlp.router": "ffn_gate_inp",
}


def _whole_number(config: ModelConfig, name: str) -> int:
    text = config.raw.get("text_config")
    value = (text if isinstance(text, Mapping) else config.raw).get(name, config.raw.get(name))
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"The config's {name} is {value!r}, which is not a possible size.")
    return value


def _fused_rows(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """InternLM2's query, key and value in one matrix."""
    heads, kv_heads = config.num_heads or 0, config.num_kv_heads or 0
    head_dim, rest = divmod(shape[0], max(heads + 2 * kv_heads, 1))
    if rest or not heads:
        raise UserError(f"{shape[0]} rows of a fused query, key and value do not fit {heads} + 2 × {kv_heads} heads.")
    rows = {"attn_q": heads * head_dim, "attn_k": kv_heads * head_dim, "attn_v": kv_heads * head_dim}
    return tuple((f"{name}.weight", (count, *shape[1:])) for name, count in rows.items())


def _latent_key_value(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """DeepSeek's kv_b_proj, taken apart per head as llama.cpp's latent attention absorbs it: keys transposed."""
    rest, value = _whole_number(config, "qk_nope_head_dim"), _whole_number(config, "v_head_dim")
    heads, latent = shape[0] // (rest + value), shape[1]
    return ("attn_k_b.weight", (heads, latent, rest)), ("attn_v_b.weight", (heads, value, latent))


def _gate_up(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    experts, hidden, both = shape
    return tuple((f"ffn_{part}_exps.weight", (experts, both // 2, hidden)) for part in ("gate", "up"))


def _down(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    experts, inner, hidden = shape
    return (("ffn_down_exps.weight", (experts, hidden, inner)),)


def _packed_gate_up(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    """OpenAI's MXFP4 blocks [experts, rows, groups, 16 bytes]: two weights a byte."""
    experts, both, groups, packed = shape
    return _gate_up((experts, groups * packed * 2, both), config)


def _packed_down(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    experts, hidden, groups, packed = shape
    return _down((experts, groups * packed * 2, hidden), config)


def _gate_up_bias(shape: Shape, config: ModelConfig) -> tuple[tuple[str, Shape], ...]:
    return tuple((f"ffn_{part}_exps.bias", (shape[0], shape[1] // 2)) for part in ("gate", "up"))


_DEEPSEEK_SPLITS: Mapping[str, Split] = {
    "self_attn.kv_b_proj.weight": _latent_key_value,
    "mlp.gate.e_score_correction_bias": lambda shape, config: (("exp_probs_b.bias", shape),),
}
_GPT_OSS_SPLITS: Mapping[str, Split] = {
    "self_attn.sinks": lambda shape, config: (("attn_sinks.weight", shape),),
    "mlp.experts.gate_up_proj": _gate_up,
    "mlp.experts.gate_up_proj_blocks": _packed_gate_up,
    "mlp.experts.gate_up_proj_bias": _gate_up_bias,
    "mlp.experts.down_proj": _down,
    "mlp.experts.down_proj_blocks": _packed_down,
    "mlp.experts.down_proj_bias": lambda shape, config: (("ffn_down_exps.bias", shape),),
}
_STABLELM_STACKS: Mapping[str, str] = {
    "self_attn.q_layernorm.norms.*": "attn_q_norm",
    "self_attn.k_layernorm.norms.*": "attn_k_norm",
}

_DEEPSEEK2 = Layout("deepseek2", _DEEPSEEK, _EXPERTS, _DEEPSEEK_SPLITS, drops_tied_head=True)

LAYOUTS: Mapping[str, Layout] = {
    "bert": Layout("bert", _BERT),
    "cohere": Layout("command-r", _LLAMA, drops_tied_head=True),
    "deepseek_v2": _DEEPSEEK2,
    "deepseek_v3": _DEEPSEEK2,
    "falcon": Layout("falcon", _FALCON),
    "gemma": Layout("gemma", _LLAMA, drops_tied_head=True),
    "gemma2": Layout("gemma2", {**_LLAMA, **_POST_NORMS}, drops_tied_head=True),
    "gemma3": Layout("gemma3", {**_LLAMA, **_POST_NORMS}, drops_tied_head=True),
    "gemma3_text": Layout("gemma3", {**_LLAMA, **_POST_NORMS}, drops_tied_head=True),
    "gpt2": Layout("gpt2", _GPT2, transposed=frozenset({"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"})),
    "gpt_neox": Layout("gptneox", _GPT_NEOX),
    "gpt_oss": Layout("gpt-oss", _GPT_OSS, splits=_GPT_OSS_SPLITS),
    "granite": Layout("granite", _LLAMA),
    "internlm2": Layout("internlm2", _INTERNLM2, splits={"attention.wqkv.weight": _fused_rows}),
    "kimi_k2": _DEEPSEEK2,
    "llama": Layout("llama", _LLAMA),
    "mistral": Layout("llama", _LLAMA),
    "mixtral": Layout("llama", {**_LLAMA, "block_sparse_moe.gate": "ffn_gate_inp"}, _MIXTRAL_EXPERTS),
    "olmo2": Layout("olmo2", {**_LLAMA, **_POST_NORMS}),
    "phi": Layout("phi2", _PHI),
    "phi-msft": Layout("phi2", _PHI),
    "phi3": Layout("phi3", _PHI3),
    "qwen2": Layout("qwen2", _LLAMA),
    "qwen2_moe": Layout("qwen2moe", _QWEN_MOE, _EXPERTS),
    "qwen3": Layout("qwen3", _LLAMA),
    "qwen3_moe": Layout("qwen3moe", _QWEN_MOE, _EXPERTS),
    "stablelm": Layout("stablelm", _LLAMA, _STABLELM_STACKS),
    "starcoder2": Layout("starcoder2", {**_LLAMA, "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}),
}
"""`model_type` of config.json -> how llama.cpp stores it."""
