"""Hybrids, latent attention, experts, encoders and models that also see, against what transformers saves for them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from quantgui.checkpoint.architectures import extra_tensors, tensor_shapes
from tests.checkpoint.saved_by_transformers import TINY, save_tiny

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")]

WIDE = {**TINY, "head_dim": 16}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 6,
    "linear_value_head_dim": 10,
}
MOE = {
    "num_experts": 3,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 28,
}
LATENT = {
    "n_routed_experts": 3,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 20,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
}
INDEX = {"index_n_heads": 2, "index_head_dim": 18}
SSM = {"mamba_n_heads": 6, "mamba_d_head": 16, "mamba_d_state": 5, "mamba_n_groups": 2}
NEMOTRON = {
    "mamba_num_heads": 6,
    "mamba_head_dim": 8,
    "ssm_state_size": 5,
    "n_groups": 2,
    "n_routed_experts": 3,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 20,
    "moe_shared_expert_intermediate_size": 28,
}
GPT = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 64}
MASKED = "AutoModelForMaskedLM"
BARE = "AutoModel"
SEQ2SEQ = "AutoModelForSeq2SeqLM"

DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen3_5_text": ("qwen3_5_text", {**WIDE, **DELTA}),
    "qwen3_5_moe_text": ("qwen3_5_moe_text", {**WIDE, **DELTA, **MOE}),
    "qwen3_next": ("qwen3_next", {**WIDE, **DELTA, **MOE, "linear_conv_kernel_dim": 3}),
    "llama4_text": (
        "llama4_text",
        {**WIDE, "num_local_experts": 3, "intermediate_size_mlp": 88, "interleave_moe_layer_step": 2},
    ),
    "gemma3n_text": (
        "gemma3n_text",
        {
            **WIDE,
            "num_hidden_layers": 10,
            "hidden_size_per_layer_input": 12,
            "vocab_size_per_layer_input": 60,
            "num_kv_shared_layers": 2,
            "laurel_rank": 6,
            "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 2,
            "activation_sparsity_pattern": None,
        },
    ),
    "gemma4 26B": (
        "gemma4_text",
        {
            **WIDE,
            **MOE,
            "num_hidden_layers": 7,
            "top_k_experts": 2,
            "enable_moe_block": True,
            "global_head_dim": 20,
            "num_global_key_value_heads": 1,
            "attention_k_eq_v": True,
            "hidden_size_per_layer_input": 0,
        },
    ),
    "gemma4 E2B": (
        "gemma4_text",
        {
            **WIDE,
            "num_hidden_layers": 8,
            "global_head_dim": 20,
            "hidden_size_per_layer_input": 12,
            "vocab_size_per_layer_input": 60,
            "num_kv_shared_layers": 3,
            "use_double_wide_mlp": True,
        },
    ),
    "minimax_m2": ("minimax_m2", {**WIDE, "num_local_experts": 3}),
    "glm_moe_dsa": ("glm_moe_dsa", {**TINY, **LATENT, **INDEX, "num_key_value_heads": 4, "head_dim": 8}),
    "glm4_moe_lite": ("glm4_moe_lite", {**TINY, **LATENT, "num_key_value_heads": 4}),
    "glm4_moe": (
        "glm4_moe",
        {**WIDE, "n_routed_experts": 3, "moe_intermediate_size": 20, "use_qk_norm": True, "attention_bias": True},
    ),
    "dots1": ("dots1", {**WIDE, "n_routed_experts": 3, "n_shared_experts": 2, "moe_intermediate_size": 20}),
    "glm": ("glm", WIDE),
    "glm4": ("glm4", WIDE),
    "nemotron_h": ("nemotron_h", {**WIDE, **NEMOTRON, "hybrid_override_pattern": "M*-E"}),
    "nemotron_h latent": (
        "nemotron_h",
        {**WIDE, **NEMOTRON, "hybrid_override_pattern": "ME*EM", "moe_latent_size": 14, "num_hidden_layers": 5},
    ),
    "granitemoehybrid": (
        "granitemoehybrid",
        {
            **WIDE,
            **SSM,
            "layer_types": ["mamba", "attention", "mamba", "mamba"],
            "num_local_experts": 3,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 28,
        },
    ),
    "granitemoe": ("granitemoe", {**TINY, "num_local_experts": 3, "num_experts_per_tok": 2}),
    "falcon_h1": ("falcon_h1", {**WIDE, **SSM, "mamba_d_head": 8, "mamba_d_ssm": 48, "mamba_rms_norm": True}),
    "bamba": ("bamba", {**TINY, **SSM, "attn_layer_indices": [1]}),
    "jamba": ("jamba", {**TINY, "num_hidden_layers": 9, "num_experts": 3, "mamba_d_state": 5, "mamba_dt_rank": 7}),
    "mamba": ("mamba", {**TINY, "state_size": 5}),
    "falcon_mamba": ("falcon_mamba", {**TINY, "state_size": 5}),
    "mamba2": ("mamba2", {**TINY, "num_heads": 6, "head_dim": 16, "state_size": 5, "n_groups": 2}),
    "lfm2": ("lfm2", {**WIDE, "layer_types": ["conv", "full_attention", "conv", "conv"]}),
    "lfm2_moe": (
        "lfm2_moe",
        {
            **WIDE,
            "layer_types": ["conv", "full_attention", "conv", "conv"],
            "num_experts": 3,
            "num_dense_layers": 1,
            "moe_intermediate_size": 20,
        },
    ),
    "mimo_v2_flash": (
        "mimo_v2_flash",
        {
            **WIDE,
            "n_routed_experts": 3,
            "moe_intermediate_size": 20,
            "v_head_dim": 10,
            "swa_num_key_value_heads": 4,
            "swa_head_dim": 16,
            "swa_v_head_dim": 10,
        },
    ),
    "cohere2": ("cohere2", TINY),
    "olmo": ("olmo", TINY),
    "olmo3": ("olmo3", TINY),
    "olmoe": ("olmoe", {**TINY, "num_experts": 3, "num_experts_per_tok": 2}),
    "phimoe": ("phimoe", {**TINY, "num_local_experts": 3, "attention_bias": True, "lm_head_bias": True}),
    "smollm3": ("smollm3", TINY),
    "ministral3": ("ministral3", WIDE),
    "helium": ("helium", {**TINY, "head_dim": 12}),
    "seed_oss": ("seed_oss", WIDE),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", WIDE),
    "exaone4": ("exaone4", TINY),
    "ernie4_5": ("ernie4_5", {**WIDE, "use_bias": True}),
    "ernie4_5_moe": ("ernie4_5_moe", {**TINY, "moe_num_experts": 3, "moe_intermediate_size": 20, "moe_k": 2}),
    "nemotron": ("nemotron", TINY),
    "arcee": ("arcee", TINY),
    "opt": ("opt", {**TINY, "ffn_dim": 80, "word_embed_proj_dim": 48}),
    "opt-350m": ("opt", {**TINY, "ffn_dim": 80, "word_embed_proj_dim": 24, "do_layer_norm_before": False}),
    "bloom": ("bloom", {**TINY, "n_layer": 2, "n_head": 4}),
    "mpt": ("mpt", {"d_model": 48, "n_layers": 2, "n_heads": 4, "vocab_size": 64}),
    "gptj": ("gptj", {**GPT, "rotary_dim": 4}),
    "gpt_neo": (
        "gpt_neo",
        {
            "hidden_size": 48,
            "num_layers": 4,
            "num_heads": 4,
            "vocab_size": 64,
            "max_position_embeddings": 32,
            "attention_types": [[["global", "local"], 2]],
        },
    ),
    "gpt_bigcode": ("gpt_bigcode", GPT),
    "gpt_bigcode, all heads": ("gpt_bigcode", {**GPT, "multi_query": False}),
}
T5 = {"d_model": 48, "d_ff": 80, "d_kv": 10, "num_layers": 2, "num_heads": 4, "vocab_size": 64}
OTHERS: dict[str, tuple[str, dict[str, Any], str]] = {
    **{
        f"{model_type} {factory}": (model_type, TINY, factory)
        for model_type in ("bert", "roberta", "xlm-roberta", "camembert", "modernbert")
        for factory in (BARE, MASKED)
    },
    "distilbert": ("distilbert", {"dim": 48, "hidden_dim": 80, "n_layers": 2, "n_heads": 4, "vocab_size": 64}, BARE),
    "distilbert masked": (
        "distilbert",
        {"dim": 48, "hidden_dim": 80, "n_layers": 2, "n_heads": 4, "vocab_size": 64},
        MASKED,
    ),
    "t5": ("t5", T5, SEQ2SEQ),
    "t5 v1.1": ("t5", {**T5, "feed_forward_proj": "gated-gelu", "num_decoder_layers": 3}, SEQ2SEQ),
    "umt5": ("umt5", {**T5, "feed_forward_proj": "gated-gelu"}, SEQ2SEQ),
}


@pytest.mark.parametrize("case", DECODERS)
def test_decoders_have_the_names_and_shapes_of_a_saved_checkpoint(case: str, tmp_path: Path) -> None:
    config, saved = save_tiny(tmp_path, *DECODERS[case], "AutoModelForCausalLM")
    assert dict(tensor_shapes(config)) == saved


@pytest.mark.parametrize("case", OTHERS)
def test_encoders_have_the_names_and_shapes_of_a_saved_checkpoint(case: str, tmp_path: Path) -> None:
    config, saved = save_tiny(tmp_path, *OTHERS[case])
    assert dict(tensor_shapes(config)) == saved


def test_kimi_linear(tmp_path: Path) -> None:
    """transformers writes the dense layer back under the experts' name; the published checkpoints call it `mlp`."""
    delta = {
        "kda_layers": [1, 2, 3],
        "full_attn_layers": [4],
        "num_heads": 3,
        "head_dim": 10,
        "short_conv_kernel_size": 4,
    }
    values = {**WIDE, **LATENT, "num_experts": 3, "linear_attn_config": delta}
    config, saved = save_tiny(tmp_path, "kimi_linear", values, "AutoModelForCausalLM")
    published = {re.sub(r"0\.block_sparse_moe\.(\w+_proj)", r"0.mlp.\1", name): shape for name, shape in saved.items()}
    assert dict(tensor_shapes(config)) == published


def test_deepseek_v4(tmp_path: Path) -> None:
    """transformers writes some names back differently from the published checkpoints, which it reads."""
    values = {
        **WIDE,
        **LATENT,
        **INDEX,
        "num_key_value_heads": 1,
        "num_hidden_layers": 8,
        "o_groups": 2,
        "o_lora_rank": 6,
    }
    config, saved = save_tiny(tmp_path, "deepseek_v4", values, "AutoModelForCausalLM")
    changes = (
        (r"^model\.", ""),
        (r"^embed_tokens", "embed"),
        (r"attn\.norm", "attn.kv_norm"),
        (r"hc_head\.hc", "hc_head"),
    )
    published = {}
    for name, shape in saved.items():
        for pattern, replacement in changes:
            name = re.sub(pattern, replacement, name)
        published[name] = shape
    assert dict(tensor_shapes(config)) == published


VISION = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
QWEN_VISION = {
    "depth": 2,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_heads": 2,
    "out_hidden_size": 48,
    "num_position_embeddings": 16,
}
SEEING: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "qwen3_vl": (WIDE, {**QWEN_VISION, "deepstack_visual_indexes": [0, 1]}),
    "qwen3_vl_moe": ({**WIDE, **MOE}, {**QWEN_VISION, "deepstack_visual_indexes": [0, 1]}),
    "qwen3_5": ({**WIDE, **DELTA}, QWEN_VISION),
    "qwen3_5_moe": ({**WIDE, **DELTA, **MOE}, QWEN_VISION),
    "llama4": (
        {**WIDE, "num_local_experts": 3},
        {**VISION, "image_size": 56, "vision_output_dim": 20, "projector_input_dim": 22, "projector_output_dim": 20},
    ),
    "gemma4": (
        {**WIDE, "num_hidden_layers": 6, "global_head_dim": 20, "hidden_size_per_layer_input": 0},
        {**VISION, "num_key_value_heads": 2, "head_dim": 8},
    ),
    "minimax_m3_vl": (
        {
            **WIDE,
            **INDEX,
            "num_local_experts": 3,
            "dense_intermediate_size": 90,
            "shared_intermediate_size": 28,
            "layer_types": ["full_attention", *["minimax_m3_sparse"] * 3],
            "mlp_layer_types": ["dense", *["sparse"] * 3],
        },
        VISION,
    ),
    "step3p7": (
        {
            **WIDE,
            "n_routed_experts": 3,
            "moe_intermediate_size": 20,
            "share_expert_dim": 28,
            "num_sliding_attention_heads": 6,
            "sliding_window": 8,
            "layer_types": ["full_attention", *["sliding_attention"] * 3],
        },
        {**VISION, "image_size": 56, "max_position_embeddings": 16},
    ),
}
TOWERS = re.compile(r"^(?:model\.)?(?:visual|vision\w*|embed_vision|\w+_projector|patch_merge_mlp)\.")
TEXT = re.compile(r"^(?:model\.language_model|language_model\.model)\.")


@pytest.mark.parametrize("model_type", SEEING)
def test_the_language_model_of_one_that_sees(model_type: str, tmp_path: Path) -> None:
    text, vision = SEEING[model_type]
    values: dict[str, Any] = {"text_config": text, "vision_config": vision}
    if model_type == "gemma4":
        values["audio_config"] = None
    config, saved = save_tiny(tmp_path, model_type, values, "AutoModelForImageTextToText")
    language = {name: shape for name, shape in saved.items() if not TOWERS.match(name)}
    if model_type == "qwen3_vl_moe":  # published as [experts, inputs, outputs]; transformers reads both orders
        language = {name: _swapped(shape) if ".experts." in name else shape for name, shape in language.items()}
    plain = {TEXT.sub("model.", name).removeprefix("language_model."): shape for name, shape in language.items()}
    assert dict(tensor_shapes(config)) == plain
    tower = dict(extra_tensors(config))
    assert tower in ({}, {name: shape for name, shape in saved.items() if TOWERS.match(name)})
    assert bool(tower) == model_type.startswith(("qwen", "llama", "gemma"))


def _swapped(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], shape[2], shape[1])
