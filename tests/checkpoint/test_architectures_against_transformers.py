"""The closed forms against transformers itself: names and shapes of a tiny saved checkpoint of each family."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from quantgui.checkpoint.architectures import tensor_shapes
from quantgui.checkpoint.config import read_config

pytestmark = pytest.mark.slow

DENSE: dict[str, Any] = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
WIDE_HEADS = {**DENSE, "head_dim": 16}
MOE = {**WIDE_HEADS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
LATENT = {
    **DENSE,
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 12,
    "v_head_dim": 10,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 2,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 20,
    "first_k_dense_replace": 1,
}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", DENSE),
    "llama with biases, tied": (
        "llama",
        {**DENSE, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    ),
    "mistral": ("mistral", WIDE_HEADS),
    "granite": ("granite", DENSE),
    "qwen2": ("qwen2", DENSE),
    "qwen3": ("qwen3", WIDE_HEADS),
    "qwen2_moe": (
        "qwen2_moe",
        {**MOE, "shared_expert_intermediate_size": 36, "mlp_only_layers": [1], "decoder_sparse_step": 1},
    ),
    "qwen3_moe": ("qwen3_moe", {**MOE, "decoder_sparse_step": 2}),
    "gemma": ("gemma", WIDE_HEADS),
    "gemma2": ("gemma2", WIDE_HEADS),
    "gemma3_text": ("gemma3_text", WIDE_HEADS),
    "phi3": ("phi3", DENSE),
    "phi": ("phi", DENSE),
    "olmo2": ("olmo2", DENSE),
    "stablelm": ("stablelm", {**DENSE, "use_qkv_bias": True}),
    "stablelm with norms": ("stablelm", {**DENSE, "qk_layernorm": True, "use_parallel_residual": True}),
    "starcoder2": ("starcoder2", DENSE),
    "cohere": ("cohere", {**DENSE, "use_qk_norm": True}),
    "falcon 7B": ("falcon", {**DENSE, "multi_query": True, "parallel_attn": True}),
    "falcon 40B": ("falcon", {**DENSE, "new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon 1B": ("falcon", {**DENSE, "multi_query": False, "parallel_attn": False, "bias": True}),
    "gpt2": ("gpt2", {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 32, "vocab_size": 64}),
    "gpt_neox": ("gpt_neox", DENSE),
    "mixtral": ("mixtral", {**DENSE, "num_local_experts": 4}),
    "gpt_oss": ("gpt_oss", {**WIDE_HEADS, "num_local_experts": 4}),
    "deepseek_v2": ("deepseek_v2", {**LATENT, "q_lora_rank": None}),
    "deepseek_v3": ("deepseek_v3", LATENT),
    "deepseek_v32": ("deepseek_v32", {**LATENT, "index_n_heads": 2, "index_head_dim": 16}),
    "bert": ("bert", DENSE),
}


@pytest.mark.parametrize("case", FAMILIES)
def test_names_and_shapes_are_those_of_a_saved_checkpoint(case: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    model_type, values = FAMILIES[case]
    torch.set_num_threads(1)
    config = AutoConfig.for_model(model_type, **values)
    factory = AutoModel if model_type == "bert" else AutoModelForCausalLM
    factory.from_config(config).save_pretrained(tmp_path)

    described = read_config(json.loads((tmp_path / "config.json").read_text()))
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        names = file.keys()
        saved = {name: tuple(file.get_slice(name).get_shape()) for name in names}
    assert dict(tensor_shapes(described)) == saved
