"""The best reading of a config that states no model_type: by the class it names, else by the keys it has."""

from __future__ import annotations

import re
from collections.abc import Iterable

from quantgui.types import ModelConfig

_TASK = re.compile(r"(?:For[A-Z]\w*|LMHeadModel|PreTrainedModel|Model)$")
_GPT2_KEYS = frozenset({"n_embd", "n_layer", "n_head"})
_LLAMA_KEYS = frozenset(
    {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "rms_norm_eps"}
)
_NOT_LLAMA = re.compile(r"expert|mamba|ssm|lora_rank|linear_|conv|moe")


def guessed_model_type(config: ModelConfig, known: Iterable[str]) -> str:
    """One of the `known` model types, or "" where neither class nor keys tell."""
    if config.architecture:
        name = _letters(_TASK.sub("", config.architecture))
        return next((model_type for model_type in known if _letters(model_type) == name), "")
    keys = config.raw.keys()
    if keys >= _GPT2_KEYS:
        return "gpt2"
    return "llama" if keys >= _LLAMA_KEYS and not any(map(_NOT_LLAMA.search, keys)) else ""


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
