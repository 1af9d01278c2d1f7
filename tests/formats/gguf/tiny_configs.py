"""Small configs of architectures that the catalogue has no model of, as config.json states them."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 64,
    "max_position_embeddings": 32,
}
EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}
LATENT: dict[str, Any] = {
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
    "num_key_value_heads": 4,
}
MAMBA2: dict[str, Any] = {"mamba_n_heads": 6, "mamba_d_head": 16, "mamba_d_state": 5, "mamba_n_groups": 2}
GPT: dict[str, Any] = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 64}
CONVOLUTIONS = ["conv", "full_attention", "conv", "conv"]
DELTA: dict[str, Any] = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 6,
    "linear_value_head_dim": 10,
    "linear_conv_kernel_dim": 3,
    "num_experts": 3,
    "shared_expert_intermediate_size": 28,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "bloom": {**TINY, "n_layer": 2, "n_head": 4},
    "distilbert": {**TINY, "dim": 48, "hidden_dim": 80, "n_layers": 2, "n_heads": 4},
    "dots1": {**TINY, **EXPERTS, "n_routed_experts": 3, "n_shared_experts": 2},
    "ernie4_5": {**TINY, "use_bias": True},
    "ernie4_5_moe": {**TINY, **EXPERTS, "moe_num_experts": 3, "moe_k": 2},
    "falcon_h1": {**TINY, **MAMBA2, "mamba_d_head": 8, "mamba_d_ssm": 48, "mamba_rms_norm": True},
    "falcon_mamba": {**TINY, "state_size": 5},
    "gemma3n_text": {
        **TINY,
        "num_hidden_layers": 10,
        "hidden_size_per_layer_input": 12,
        "vocab_size_per_layer_input": 60,
        "num_kv_shared_layers": 2,
        "laurel_rank": 6,
        "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 2,
    },
    "glm": TINY,
    "glm4_moe": {**TINY, **EXPERTS, "n_routed_experts": 3, "use_qk_norm": True, "attention_bias": True},
    "glm4_moe_lite": {**TINY, **EXPERTS, **LATENT, "n_routed_experts": 3, "n_shared_experts": 1},
    "gpt_bigcode": GPT,
    "granitemoehybrid": {
        **TINY,
        **MAMBA2,
        "layer_types": ["mamba", "attention", "mamba", "mamba"],
        "num_local_experts": 3,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 28,
    },
    "hunyuan_v1_dense": TINY,
    "jamba": {**TINY, "num_hidden_layers": 9, "num_experts": 3, "mamba_d_state": 5, "mamba_dt_rank": 7},
    "lfm2": {**TINY, "layer_types": CONVOLUTIONS},
    "lfm2_moe": {**TINY, **EXPERTS, "layer_types": CONVOLUTIONS, "num_experts": 3, "num_dense_layers": 1},
    "mamba": {**TINY, "state_size": 5},
    "mamba2": {**TINY, "num_heads": 6, "state_size": 5, "n_groups": 2},
    "mimo_v2_flash": {
        **TINY,
        **EXPERTS,
        "n_routed_experts": 3,
        "v_head_dim": 10,
        "hybrid_layer_pattern": [0, 1, 1, 0],
        "moe_layer_freq": [0, 1, 1, 1],
        "swa_num_key_value_heads": 4,
        "swa_head_dim": 16,
        "swa_v_head_dim": 10,
    },
    "modernbert": TINY,
    "mpt": {"d_model": 48, "n_layers": 2, "n_heads": 4, "vocab_size": 64},
    "olmo": TINY,
    "qwen3_next": {**TINY, **EXPERTS, **DELTA},
    "roberta": {**TINY, "pad_token_id": 1},
    "xlm-roberta": {**TINY, "pad_token_id": 1},
}
"""By `model_type`."""
