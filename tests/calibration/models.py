"""Tiny models of many architectures, saved by transformers itself, and a tokenizer for a vocabulary of 96."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

ARCHITECTURES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("llama", "LlamaForCausalLM", {}),
    ("qwen2", "Qwen2ForCausalLM", {}),
    ("qwen3", "Qwen3ForCausalLM", {"head_dim": 16}),
    ("mistral", "MistralForCausalLM", {"sliding_window": 8}),
    ("gemma", "GemmaForCausalLM", {"head_dim": 16}),
    ("gemma2", "Gemma2ForCausalLM", {"head_dim": 16, "sliding_window": 8}),
    ("gemma3_text", "Gemma3ForCausalLM", {"head_dim": 16, "sliding_window": 8}),
    ("phi", "PhiForCausalLM", {}),
    ("phi3", "Phi3ForCausalLM", {}),
    ("gpt2", "GPT2LMHeadModel", {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}),
    ("gpt_neox", "GPTNeoXForCausalLM", {}),
    ("opt", "OPTForCausalLM", {"ffn_dim": 128, "word_embed_proj_dim": 64}),
    ("falcon", "FalconForCausalLM", {}),
    ("bert", "BertForMaskedLM", {}),
    ("distilbert", "DistilBertModel", {"dim": 64, "hidden_dim": 128, "n_layers": 2, "n_heads": 4}),
    (
        "gemma4_text",
        "Gemma4ForCausalLM",
        {
            "num_hidden_layers": 4,
            "num_kv_shared_layers": 2,  # they use the keys and values of the first two
            "layer_types": ["sliding_attention", "full_attention"] * 2,
            "head_dim": 16,
            "global_head_dim": 32,
            "sliding_window": 8,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": 96,
        },
    ),
    ("mixtral", "MixtralForCausalLM", {"num_local_experts": 4}),
)


def saved(folder: Path, model_type: str, class_name: str, **sizes: Any) -> Path:
    """A model with random weights, saved by transformers."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(model_type, **(SIZES | sizes))
    getattr(transformers, class_name)(config).save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path) -> Path:
    """One token per printable ASCII character: 95 of them, and one for all others."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    vocabulary = {"<unk>": 0} | {chr(code): code - 31 for code in range(32, 127)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder
