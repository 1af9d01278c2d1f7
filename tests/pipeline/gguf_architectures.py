"""Configs of small models, one or more of every architecture that becomes a GGUF file: for random weights."""

from __future__ import annotations

from typing import Any

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 288,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
SHARED = {"num_experts": 12, "num_experts_per_tok": 4, "moe_intermediate_size": 32}
GEMMA = {**GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8}
SCALED = {"rope_theta": 10000.0, "original_max_position_embeddings": 64}
LLAMA3 = {**SCALED, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LONG = {**SCALED, "rope_type": "longrope", "long_factor": [1 + i / 4 for i in range(8)], "short_factor": [1.0] * 8}

ALPHA = {"rope_type": "dynamic", "alpha": 1000.0, "factor": 1.0, "rope_theta": 10000.0}
YARN = {**SCALED, "rope_type": "yarn", "factor": 4.0}
EXACT_YARN = {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0}
FOUR_LAYERS = {**GROUPED, "num_hidden_layers": 4, "sliding_window": 8}
MULTIPLIERS = {
    "embedding_multiplier": 3.0,
    "logits_scaling": 0.5,
    "residual_multiplier": 0.7,
    "attention_multiplier": 0.1,
}
ROUTED = {"num_local_experts": 12, "num_experts_per_tok": 3}
SIGMOID = {
    "n_routed_experts": 12,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 32,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
    "routed_scaling_factor": 1.5,
}
LATENT = {
    "num_key_value_heads": 4,
    "kv_lora_rank": 24,
    "q_lora_rank": 20,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
}
LITE = {**LATENT, "q_lora_rank": None, "num_hidden_layers": 27, "hidden_size": 32, "intermediate_size": 32}
"""What llama.cpp tells by its 27 layers."""

GEMMA4 = {
    **GROUPED,
    "layer_types": ["sliding_attention", "full_attention"],
    "head_dim": 16,
    "global_head_dim": 32,
    "sliding_window": 8,
    "final_logit_softcapping": 30.0,
    "hidden_size_per_layer_input": 0,
}
CONVOLUTIONS = {**GROUPED, "num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"]}
STATE_SPACE = {
    **GROUPED,
    **MULTIPLIERS,
    "num_hidden_layers": 3,
    "layer_types": ["mamba", "attention", "mamba"],
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_d_state": 16,
    "shared_intermediate_size": 48,
}
NEMOTRON_H = {
    **{name: value for name, value in GROUPED.items() if name != "num_hidden_layers"},
    "head_dim": 16,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "ssm_state_size": 16,
    "n_groups": 2,
}
VISION = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": 64,
    "deepstack_visual_indexes": [0],
    "num_position_embeddings": 16,
}
SECTIONS = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
LINEAR = {
    "num_hidden_layers": 4,
    "layer_types": ["linear_attention"] * 3 + ["full_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "head_dim": 32,
}

MAMBA = {
    "hidden_size": 64,
    "state_size": 16,
    "num_hidden_layers": 2,
    "vocab_size": 288,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": None,
}
FALCON_H1 = {
    **GROUPED,
    "head_dim": 24,
    "mamba_d_ssm": 96,
    "mamba_n_heads": 6,
    "mamba_d_head": 16,
    "mamba_d_state": 16,
    "mamba_n_groups": 2,
    "mamba_norm_before_gate": False,
    "embedding_multiplier": 2.5,
    "lm_head_multiplier": 0.7,
    "mlp_multipliers": [0.8, 0.6],
    "key_multiplier": 1.7,
    "attention_in_multiplier": 0.9,
    "attention_out_multiplier": 1.2,
    "ssm_multipliers": [0.9, 1.1, 6.0, 8.0, 5.0],
    "ssm_in_multiplier": 1.4,
    "ssm_out_multiplier": 0.6,
}
ALTERNATING = {**GROUPED, "num_hidden_layers": 4, "attn_layer_period": 4, "attn_layer_offset": 2, "mamba_dt_rank": 5}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama tied": ("LlamaConfig", {**GROUPED, "tie_word_embeddings": True}),
    "llama biases, odd heads": ("LlamaConfig", {**GROUPED, "attention_bias": True, "mlp_bias": True, "head_dim": 24}),
    "llama3 scaling": ("LlamaConfig", {**GROUPED, "rope_parameters": LLAMA3}),
    "linear scaling": (
        "LlamaConfig",
        {**GROUPED, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e4}},
    ),
    "yarn scaling": ("LlamaConfig", {**GROUPED, "rope_parameters": {**SCALED, "rope_type": "yarn", "factor": 4.0}}),
    "mistral": ("MistralConfig", {**GROUPED, "sliding_window": None, "head_dim": 32}),
    "mixtral": (
        "MixtralConfig",
        {**GROUPED, "sliding_window": None, "num_local_experts": 12, "num_experts_per_tok": 2},
    ),
    "qwen2": ("Qwen2Config", GROUPED),
    "qwen2_moe": (
        "Qwen2MoeConfig",
        {**GROUPED, **SHARED, "shared_expert_intermediate_size": 64, "norm_topk_prob": False},
    ),
    "qwen3": ("Qwen3Config", {**GROUPED, "head_dim": 32}),
    "qwen3_moe": ("Qwen3MoeConfig", {**GROUPED, **SHARED, "head_dim": 16, "norm_topk_prob": True}),
    "gemma": ("GemmaConfig", {**GROUPED, "head_dim": 16}),
    "gemma2": ("Gemma2Config", GEMMA),
    "gemma3": ("Gemma3TextConfig", {**GEMMA, "num_hidden_layers": 7}),
    "phi3": ("Phi3Config", {**GROUPED, "original_max_position_embeddings": 256}),
    "phi3 long": (
        "Phi3Config",
        {**GROUPED, "original_max_position_embeddings": 64, "rope_parameters": LONG},
    ),
    "gpt2": ("GPT2Config", {"vocab_size": 288, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}),
    "gpt_neox": ("GPTNeoXConfig", {**SIZES, "rotary_pct": 0.25}),
    "gpt_neox in sequence": ("GPTNeoXConfig", {**SIZES, "use_parallel_residual": False}),
    "starcoder2": ("Starcoder2Config", {**GROUPED, "sliding_window": None}),
    "olmo2": ("Olmo2Config", GROUPED),
    "olmo3": ("Olmo3Config", {**GROUPED, "num_hidden_layers": 4, "sliding_window": 8}),
    "stablelm": ("StableLmConfig", {**GROUPED, "use_qkv_bias": True}),
    "stablelm2": ("StableLmConfig", {**GROUPED, "use_parallel_residual": True, "qk_layernorm": True}),
    "bert": ("BertConfig", SIZES),
    "roberta": ("RobertaConfig", {**SIZES, "max_position_embeddings": 258, "pad_token_id": 1}),
    "distilbert": (
        "DistilBertConfig",
        {"vocab_size": 288, "dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 96, "max_position_embeddings": 256},
    ),
    "nomic_bert": ("NomicBertConfig", {**SIZES, "pad_token_id": 0}),
    "yarn by attention factor": ("LlamaConfig", {**GROUPED, "rope_parameters": {**YARN, "attention_factor": 1.3}}),
    "arcee": ("ArceeConfig", GROUPED),
    "cohere": ("CohereConfig", {**GROUPED, "logit_scale": 1.5}),
    "cohere with norms": (
        "CohereConfig",
        {**GROUPED, "hidden_size": 32, "num_hidden_layers": 64, "logit_scale": 1.5, "use_qk_norm": True},
    ),
    "cohere2": ("Cohere2Config", {**FOUR_LAYERS, "logit_scale": 1.5}),
    "ernie4_5": ("Ernie4_5Config", {**GROUPED, "head_dim": 16}),
    "exaone4": (
        "Exaone4Config",
        {**GROUPED, "sliding_window": None, "sliding_window_pattern": 0, "layer_types": ["full_attention"] * 2},
    ),
    "exaone4 with windows": (
        "Exaone4Config",
        {**GROUPED, "hidden_size": 32, "num_hidden_layers": 64, "sliding_window": 8, "sliding_window_pattern": 4},
    ),
    "falcon": ("FalconConfig", SIZES),
    "falcon in groups": ("FalconConfig", {**SIZES, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "glm": ("GlmConfig", {**GROUPED, "head_dim": 16}),
    "glm4": ("Glm4Config", {**GROUPED, "head_dim": 16}),
    "granite": ("GraniteConfig", {**GROUPED, **MULTIPLIERS}),
    "hunyuan": ("HunYuanDenseV1Config", {**GROUPED, "head_dim": 16, "rope_parameters": ALPHA}),
    "ministral3": (
        "Ministral3Config",
        {**GROUPED, "head_dim": 16, "rope_parameters": {**EXACT_YARN, "llama_4_scaling_beta": 0.1}},
    ),
    "nemotron": ("NemotronConfig", {**GROUPED, "head_dim": 16}),
    "olmo": ("OlmoConfig", {**GROUPED, "clip_qkv": 0.05}),
    "phi": ("PhiConfig", SIZES),
    "seed_oss": ("SeedOssConfig", {**GROUPED, "head_dim": 16}),
    "smollm3": ("SmolLM3Config", {**FOUR_LAYERS, "no_rope_layers": [1, 1, 1, 0]}),
    "gpt_oss": ("GptOssConfig", {**FOUR_LAYERS, **ROUTED, "head_dim": 16, "rope_parameters": YARN}),
    "olmoe": ("OlmoeConfig", {**SIZES, "num_key_value_heads": 4, "num_experts": 12, "num_experts_per_tok": 3}),
    "granitemoe": ("GraniteMoeConfig", {**GROUPED, **ROUTED, **MULTIPLIERS}),
    "granitemoeshared": ("GraniteMoeSharedConfig", {**GROUPED, **ROUTED, "shared_intermediate_size": 48}),
    "deepseek_v2": (
        "DeepseekV2Config",
        {**GROUPED, **SIGMOID, **LITE, "rope_parameters": {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}},
    ),
    "deepseek_v3": ("DeepseekV3Config", {**GROUPED, **SIGMOID, **LATENT, "n_group": 4, "topk_group": 2}),
    "deepseek_v3 yarn": (
        "DeepseekV3Config",
        {**GROUPED, **SIGMOID, **LATENT, "n_group": 1, "topk_group": 1, "rope_parameters": EXACT_YARN},
    ),
    "glm4_moe": ("Glm4MoeConfig", {**GROUPED, **SIGMOID, "head_dim": 16, "use_qk_norm": True}),
    "glm4_moe_lite": (
        "Glm4MoeLiteConfig",
        {**GROUPED, **SIGMOID, **LATENT, "mlp_layer_types": ["dense", "sparse"]},
    ),
    "dots1": ("Dots1Config", {**SIZES, **SIGMOID, "num_key_value_heads": 4, "head_dim": 16}),
    "ernie4_5_moe": (
        "Ernie4_5_MoeConfig",
        {**GROUPED, "moe_num_experts": 12, "moe_k": 3, "moe_intermediate_size": 32, "moe_num_shared_experts": 2},
    ),
    "qwen3_next": ("Qwen3NextConfig", {**GROUPED, **SHARED, **LINEAR, "shared_expert_intermediate_size": 48}),
    "qwen3_5": ("Qwen3_5TextConfig", {**GROUPED, **LINEAR}),
    "qwen3_5_moe": ("Qwen3_5MoeTextConfig", {**GROUPED, **SHARED, **LINEAR, "shared_expert_intermediate_size": 48}),
    "gemma4": ("Gemma4TextConfig", {**GEMMA4, "attention_k_eq_v": True, "num_global_key_value_heads": 1}),
    "gemma4 with shared keys": (
        "Gemma4TextConfig",
        {
            **GEMMA4,
            "num_hidden_layers": 4,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "num_kv_shared_layers": 2,
            "use_double_wide_mlp": True,
            "hidden_size_per_layer_input": 16,
            "vocab_size_per_layer_input": 288,
        },
    ),
    "gemma4 with experts": (
        "Gemma4TextConfig",
        {**GEMMA4, "enable_moe_block": True, "num_experts": 12, "top_k_experts": 3, "moe_intermediate_size": 32},
    ),
    "gemma3n": (
        "Gemma3nTextConfig",
        {
            **GROUPED,
            "num_hidden_layers": 25,
            "num_kv_shared_layers": 5,
            "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 5,
            "activation_sparsity_pattern": [0.95] * 10 + [0.0] * 15,
            "intermediate_size": [96] * 25,
            "head_dim": 16,
            "sliding_window": 8,
            "vocab_size_per_layer_input": 288,
        },
    ),
    "lfm2": ("Lfm2Config", {**CONVOLUTIONS, "block_multiple_of": 32}),
    "lfm2_moe": (
        "Lfm2MoeConfig",
        {
            **CONVOLUTIONS,
            "num_experts": 12,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 32,
            "num_dense_layers": 1,
        },
    ),
    "granitemoehybrid": ("GraniteMoeHybridConfig", {**STATE_SPACE, **ROUTED, "position_embedding_type": "rope"}),
    "granitemoehybrid dense": ("GraniteMoeHybridConfig", {**STATE_SPACE, "num_local_experts": 0}),
    "mamba": ("MambaConfig", MAMBA),
    "mamba2": ("Mamba2Config", {**MAMBA, "num_heads": 8, "head_dim": 16, "n_groups": 1}),
    "falcon_mamba": ("FalconMambaConfig", {**MAMBA, "mixer_rms_eps": 1e-5}),
    "falcon_h1": ("FalconH1Config", FALCON_H1),
    "falcon_h1 with norms": ("FalconH1Config", {**FALCON_H1, "mamba_rms_norm": True, "mlp_bias": True}),
    "jamba": ("JambaConfig", {**ALTERNATING, "num_experts": 12, "num_experts_per_tok": 3}),
    "jamba dense": ("JambaConfig", {**ALTERNATING, "num_experts": 1, "num_experts_per_tok": 1}),
    "bloom": ("BloomConfig", {"vocab_size": 288, "hidden_size": 96, "n_layer": 2, "n_head": 6}),
    "mpt": ("MptConfig", {"vocab_size": 288, "d_model": 96, "n_layers": 2, "n_heads": 6, "max_seq_len": 256}),
    "mpt with limits": (
        "MptConfig",
        {
            "vocab_size": 288,
            "d_model": 64,
            "n_layers": 2,
            "n_heads": 4,
            "max_seq_len": 256,
            "attn_config": {"clip_qkv": 0.05},
        },
    ),
    "gpt_bigcode": (
        "GPTBigCodeConfig",
        {"vocab_size": 288, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
    ),
    "gpt_bigcode with a key for each query": (
        "GPTBigCodeConfig",
        {"vocab_size": 288, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256, "multi_query": False},
    ),
    "minimax_m2": (
        "MiniMaxM2Config",
        {
            **GROUPED,
            **ROUTED,
            "head_dim": 16,
            "rope_parameters": {**SCALED, "rope_type": "default", "partial_rotary_factor": 0.5},
        },
    ),
    "modernbert": (
        "ModernBertConfig",
        {
            **SIZES,
            "num_hidden_layers": 4,
            "local_attention": 16,
            "pad_token_id": 0,
            "cls_token_id": 1,
            "sep_token_id": 2,
        },
    ),
    "qwen3_vl": (
        "Qwen3VLConfig",
        {"text_config": {**GROUPED, "head_dim": 16, "rope_parameters": SECTIONS}, "vision_config": VISION},
    ),
    "qwen3_vl_moe": (
        "Qwen3VLMoeConfig",
        {
            "text_config": {
                **GROUPED,
                **SHARED,
                "moe_intermediate_size": 48,
                "head_dim": 16,
                "rope_parameters": SECTIONS,
            },
            "vision_config": VISION,
        },
    ),
    "llama4": (
        "Llama4TextConfig",
        {
            **FOUR_LAYERS,
            **ROUTED,
            "head_dim": 16,
            "intermediate_size": 48,
            "intermediate_size_mlp": 96,
            "interleave_moe_layer_step": 2,
            "rope_parameters": LLAMA3,
        },
    ),
    "nemotron_h": ("NemotronHConfig", {**NEMOTRON_H, "layers_block_type": ["mamba", "mlp", "attention", "mlp"]}),
    "nemotron_h with experts": (
        "NemotronHConfig",
        {
            **NEMOTRON_H,
            "layers_block_type": ["mamba", "moe", "attention", "moe"],
            "n_routed_experts": 12,
            "num_experts_per_tok": 3,
            "moe_intermediate_size": 32,
            "moe_shared_expert_intermediate_size": 48,
        },
    ),
}
