"""A converted F32 file in llama.cpp against transformers: the same predictions for every architecture."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.formats.gguf.size import gguf_rows
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import run
from quantgui.pipeline.llama_check import TEXTS
from quantgui.resource_files import resource
from quantgui.schemes.recipe import Recipe, SchemeSpec
from tests.pipeline.gguf_models import write_byte_tokenizer

pytestmark = pytest.mark.slow

LIMIT = 1e-3
"""Largest difference of a logit. Most architectures stay below 1e-5; ggml looks GELU up in a table of 16-bit floats."""
TOKENS = 100
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
}


def is_encoder(class_name: str) -> bool:
    """Whether the model turns a text into vectors."""
    return class_name.lower().endswith("bertconfig") or class_name == "RobertaConfig"


def saved(folder: Path, class_name: str, sizes: dict[str, Any]) -> Any:
    """A model with random weights, norms and biases included, saved by transformers with a tokenizer beside it."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, class_name)(**sizes)
    make = transformers.AutoModel if is_encoder(class_name) else transformers.AutoModelForCausalLM
    model = make.from_config(config).float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter)
            parameter.copy_(parameter + 0.1 * noise if parameter.ndim == 1 else 0.03 * noise)
    model.save_pretrained(folder)
    write_byte_tokenizer(folder)
    return model


def convert(source: Path, output: Path, scheme_id: str = "GGUF-F32") -> None:
    job = QuantizeJob(str(source), str(output), Recipe(SchemeSpec(scheme_id)), verify=False)
    run(job, lambda event: None)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("name", MODELS)
def test_llama_cpp_predicts_what_transformers_predicts(name, tmp_path):
    import torch

    class_name, sizes = MODELS[name]
    model = saved(tmp_path / "source", class_name, sizes)
    convert(tmp_path / "source", tmp_path / "x.gguf")
    predicted = {kind: size for kind, _, size in gguf_rows(open_checkpoint(tmp_path / "source"))}
    assert (tmp_path / "x.gguf").stat().st_size == predicted["F32"]
    tokens = [(37 * i + 11) % 280 + 5 for i in range(TOKENS)]  # none of them is padding
    with torch.no_grad():
        output = model(torch.tensor([tokens]))
    with LlamaModel(tmp_path / "x.gguf") as loaded:
        if is_encoder(class_name):
            with loaded.encoder(128) as context:
                found, expected = context.embeddings(tokens), output.last_hidden_state[0]
        else:
            with loaded.context(256, cache_type="F32", flash_attention=False) as context:
                found, expected = context.logits(tokens, every=True), output.logits[0]
    assert found.shape == tuple(expected.shape)
    assert float(expected.abs().max()) > 0.5
    assert np.abs(found - expected.numpy()).max() <= LIMIT


def test_texts_become_the_same_tokens(tmp_path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(resource("demo_model", "tokenizer.json")))
    convert(resource("demo_model"), tmp_path / "x.gguf", "Q8_0")
    with LlamaModel(tmp_path / "x.gguf") as loaded:
        for text in (*TEXTS, "<|endoftext|>", "a<|endoftext|> b", "\u2028 \u00a0x\u200b", "0123456789" * 9, "'S 'll'D"):
            assert loaded.tokenize(text, parse_special=True) == tokenizer.encode(text).ids
        assert not loaded.adds_bos
