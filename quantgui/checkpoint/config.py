"""config.json -> ModelConfig: one set of names for what every family calls differently, and nothing that runs code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantgui.checkpoint.limits import MAX_CONFIG_BYTES
from quantgui.checkpoint.regular_file import read_capped
from quantgui.checkpoint.strict_json import JsonFindings, decode_tolerant
from quantgui.types import ModelConfig, UserError

CODE_KEYS = frozenset(
    {
        "auto_map",
        "trust_remote_code",
        "custom_pipelines",
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_internal",
        "experts_implementation",
        "_experts_implementation",
        "_experts_implementation_internal",
        "use_kernels",
        "kernel_config",
    }
)
"""Keys by which a config makes transformers import code of the model's author, or kernels from a hub."""

MAX_VALUE = 2**40
"""No width, count or length of a real model is larger."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim", "model_dim"),
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_transformer_layers"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "num_query_heads"),
    "num_kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads", "multi_query_group_num"),
    "head_dim": ("head_dim", "kv_channels", "d_kv", "attention_head_dim"),
    "intermediate_size": ("intermediate_size", "n_inner", "ffn_hidden_size", "ffn_dim", "d_ff", "inner_dim"),
    "vocab_size": ("vocab_size", "padded_vocab_size", "n_vocab"),
    "context_length": (
        "max_position_embeddings",
        "n_positions",
        "n_ctx",
        "max_seq_len",
        "max_sequence_length",
        "seq_length",
    ),
}
"""Field of ModelConfig -> the keys it goes by, the usual one first."""

_TEXT_CONFIGS = ("text_config", "llm_config", "language_config")
"""Where a model that also sees or hears keeps the config of its language model."""

_FOUR_TIMES_HIDDEN = frozenset({"gpt2", "gpt_bigcode", "gpt_neo", "gptj", "codegen", "bloom", "falcon", "mpt"})
"""Families whose feed-forward is four times the hidden size unless they say otherwise."""

_MULTI_QUERY = frozenset({"falcon", "gpt_bigcode"})
"""Families with one key-value head unless `multi_query` is false."""

TIED_BY_DEFAULT = frozenset(
    {
        "albert",
        "bart",
        "bert",
        "biogpt",
        "bloom",
        "camembert",
        "cohere",
        "cohere2",
        "ctrl",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "ernie",
        "ernie4_5",
        "ernie4_5_moe",
        "esm",
        "falcon",
        "falcon_mamba",
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "gemma3n",
        "gemma3n_text",
        "gemma4",
        "gemma4_text",
        "gpt2",
        "gpt_bigcode",
        "gpt_neo",
        "jetmoe",
        "led",
        "lfm2",
        "lfm2_moe",
        "longformer",
        "m2m_100",
        "mamba",
        "marian",
        "mbart",
        "minicpm3",
        "modernbert",
        "mpnet",
        "mpt",
        "mt5",
        "nomic_bert",
        "openai-gpt",
        "opt",
        "pegasus",
        "recurrent_gemma",
        "roberta",
        "smollm3",
        "starcoder2",
        "t5",
        "umt5",
        "vaultgemma",
        "whisper",
        "xglm",
        "xlm-roberta",
        "xlnet",
        "zamba",
        "zamba2",
    }
)
"""Model types whose output head is the embedding when config.json does not say (the defaults of transformers)."""


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A config with the sentences worth showing about it."""

    config: ModelConfig
    notes: tuple[str, ...] = ()


def load_config(path: Path) -> LoadedConfig:
    """Read a config.json. Raises UserError where it is too large, not JSON, or not an object."""
    data, findings = read_json_object(path, MAX_CONFIG_BYTES)
    _, removed = without_code(data)
    return LoadedConfig(read_config(data), tuple(_notes(path.name, removed, findings)))


def read_config(data: Mapping[str, Any]) -> ModelConfig:
    """The facts of a config, whatever its keys are called. Values of a wrong kind count as not stated.

    `raw` keeps every key except those that run code.
    """
    raw, _ = without_code(data)
    text = _text_part(raw)
    architectures = raw.get("architectures")
    facts: dict[str, Any] = {name: _number(text, keys) for name, keys in _NAMES.items()}
    model_type = _string(text.get("model_type")) or _string(raw.get("model_type"))
    facts["num_kv_heads"] = _kv_heads(text, model_type, facts)
    facts["head_dim"] = _head_dim(text, facts)
    if facts["intermediate_size"] is None and model_type in _FOUR_TIMES_HIDDEN and facts["hidden_size"]:
        facts["intermediate_size"] = 4 * facts["hidden_size"]
    return ModelConfig(
        model_type=model_type,
        architecture=_string(architectures[0]) if isinstance(architectures, list) and architectures else "",
        tied_embeddings=_tied(text, model_type),
        quantization=_quantization(raw, text),
        raw=raw,
        **facts,
    )


def without_code(data: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A copy of a config without the keys that run code, at any depth, and the names of those removed."""
    removed: dict[str, None] = {}

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            removed.update(dict.fromkeys(key for key in value if key in CODE_KEYS))
            return {key: clean(item) for key, item in value.items() if key not in CODE_KEYS}
        return [clean(item) for item in value] if isinstance(value, list) else value

    return clean(data), tuple(removed)


def read_json_object(path: Path, limit: int) -> tuple[dict[str, Any], JsonFindings]:
    """A JSON file that must hold an object. Raises UserError, one sentence."""
    try:
        data, findings = decode_tolerant(read_capped(path, limit))
    except ValueError as error:
        raise UserError(
            f"“{path.name}” cannot be read: {error}.", hint="Download the file again, or repair it in a text editor."
        ) from None
    if not isinstance(data, dict):
        raise UserError(f"“{path.name}” does not hold a JSON object.", hint="Download the file again.")
    return data, findings


def _text_part(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of the language model, with the outer keys behind it."""
    thinker = raw.get("thinker_config")  # Qwen-Omni
    outer = thinker if isinstance(thinker, Mapping) else raw
    parts = (outer.get(key) for key in _TEXT_CONFIGS)
    inner = next((part for part in parts if isinstance(part, Mapping)), {})
    return {**raw, **outer, **{key: value for key, value in inner.items() if value is not None}}


def _number(text: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    """The first stated positive whole number; of a list, one entry per layer, the largest."""
    for key in keys:
        value = text.get(key)
        numbers = [n for n in map(_whole, value if isinstance(value, list) else [value]) if n is not None]
        if numbers:
            return max(numbers)
    return None


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_VALUE:
        return None
    return int(value) if value == int(value) else None


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _kv_heads(text: Mapping[str, Any], model_type: str, facts: Mapping[str, int | None]) -> int | None:
    attention = text.get("attn_config")  # MPT and DBRX nest it
    nested = _number(attention, ("kv_n_heads",)) if isinstance(attention, Mapping) else None
    falcon_40b = text.get("new_decoder_architecture") is True
    if model_type in _MULTI_QUERY and not falcon_40b and text.get("multi_query") is not False:
        return 1
    if text.get("multi_query") is False or text.get("multi_query_attention") is False:
        return facts["num_heads"]
    return facts["num_kv_heads"] or nested or facts["num_heads"]


def _head_dim(text: Mapping[str, Any], facts: Mapping[str, int | None]) -> int | None:
    rope, rest = _number(text, ("qk_rope_head_dim",)), _number(text, ("qk_nope_head_dim",))
    if rope and rest:  # latent attention: its `head_dim`, where stated, is the rotary part alone
        return rope + rest
    if facts["head_dim"]:
        return facts["head_dim"]
    hidden, heads = facts["hidden_size"], facts["num_heads"]
    return hidden // heads if hidden and heads and hidden % heads == 0 else None


def _tied(text: Mapping[str, Any], model_type: str) -> bool:
    stated = text.get("tie_word_embeddings")
    return stated if isinstance(stated, bool) else model_type in TIED_BY_DEFAULT


def _quantization(raw: Mapping[str, Any], text: Mapping[str, Any]) -> str | None:
    for key in ("quantization_config", "compression_config"):
        settings = raw.get(key) or text.get(key)
        if not isinstance(settings, Mapping):
            continue
        if settings.get("load_in_8bit") or settings.get("load_in_4bit"):
            return _string(settings.get("quant_method")) or "bitsandbytes"
        return _string(settings.get("quant_method")) or "unknown"
    return "mlx" if isinstance(raw.get("quantization"), Mapping) else None


def _notes(file: str, removed: tuple[str, ...], findings: JsonFindings) -> list[str]:
    notes = []
    if removed:
        notes.append(
            f"{file} asks to run code of its own ({', '.join(removed)}). QuantGUI never runs it and ignores these keys."
        )
    if findings.duplicates:
        notes.append(f"{file} states {', '.join(findings.duplicates[:5])} more than once; the last one counts.")
    if findings.not_numbers:
        notes.append(f"{file} holds values that are not numbers ({', '.join(sorted(set(findings.not_numbers)))}).")
    return notes
