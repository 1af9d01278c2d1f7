"""What the vocabulary takes in a GGUF header: exactly from a tokenizer.json, else estimated from the config.

In small models this is what decides: Llama 3's vocabulary takes 7.8 MB, 1 % of a 1B model at 4 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.types import Checkpoint, ModelConfig, UserError

MAX_TOKENIZER_BYTES = 128 * 2**20
"""The largest tokenizer.json of a real model takes 35 MB."""
MAX_TOKENS = 2**24
"""No vocabulary is larger; an id beyond must not fill the memory with padding."""
TEMPLATE_LIMIT = 4 * 2**20
ESTIMATE_BAND = 0.12
"""Relative error of an estimate: vocabularies whose bytes are known lie within it."""

_LIST_HEADER = 8 + 4 + 4 + 8
"""Of a list beside its key's name: length of the name, kind, kind of the elements, their number."""
_TOKENS, _SCORES, _TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type"
_MERGES, _TEMPLATE = "tokenizer.ggml.merges", "tokenizer.chat_template"
_TEXT_LENGTH = 8
"""GGUF states the length of every text in 8 bytes."""

_NOT_A_TOKENIZER = (OSError, UserError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What reading a file that is no tokenizer.json (or an odd one) may raise; msgspec's errors are ValueErrors."""


@dataclass(frozen=True, slots=True)
class TokenizerSize:
    """Bytes of the tokenizer's keys and how far off they may be; a band of 0 means exact."""

    nbytes: int
    band: int = 0


def tokenizer_size(checkpoint: Checkpoint) -> TokenizerSize:
    """Exact where a tokenizer.json lies beside the checkpoint, else estimated from its config."""
    config = checkpoint.config
    vocab_size = (config.vocab_size if config else None) or 0
    if checkpoint.path:
        path = Path(checkpoint.path)
        folder = path if path.is_dir() else path.parent
        if is_file(folder / "tokenizer.json"):
            nbytes = _of_file(folder / "tokenizer.json", vocab_size, (folder / "tokenizer.json").stat().st_mtime_ns)
            if nbytes is not None:
                return TokenizerSize(nbytes + _template_nbytes(folder))
    return estimated_size(config)


def tokenizer_json_nbytes(data: Mapping[str, Any], vocab_size: int) -> int:
    """Bytes of tokens, types, scores and merges as the converter writes them for the content of a tokenizer.json.

    Missing ids up to `vocab_size` become `[PAD7]`. Raises KeyError, TypeError or ValueError where it is not one.
    """
    model = data["model"]
    kind = model.get("type") or ("Unigram" if isinstance(model["vocab"], list) else "BPE")
    vocab = model["vocab"]
    texts = dict(enumerate(row[0] for row in vocab)) if kind == "Unigram" else {i: text for text, i in vocab.items()}
    if kind == "WordPiece":
        texts = {i: _word_piece(text) for i, text in texts.items()}
    texts |= {entry["id"]: entry["content"] for entry in data.get("added_tokens") or ()}
    count = max(vocab_size, max(texts, default=-1) + 1)
    if count > MAX_TOKENS:
        raise ValueError(f"{count:,} tokens")
    nbytes = _texts_nbytes(_TOKENS, (texts.get(i) or f"[PAD{i}]" for i in range(count)))
    nbytes += len(_TYPES) + _LIST_HEADER + 4 * count
    has_scores = kind == "Unigram" or bool(model.get("byte_fallback"))
    if has_scores:
        nbytes += len(_SCORES) + _LIST_HEADER + 4 * count
    elif kind == "BPE":
        nbytes += _texts_nbytes(_MERGES, (m if isinstance(m, str) else " ".join(m) for m in model["merges"]))
    return nbytes


def estimated_size(config: ModelConfig | None) -> TokenizerSize:
    """From the size of the vocabulary alone, by its kind: how long its tokens are and how many merges make them.

    Mean lengths are fits to published files: 7.4 bytes at 50,000 and 9.1 at 150,000 byte-level tokens, 6.4 at 32,000
    and 7.5 at 256,000 SentencePiece tokens; each doubling of a vocabulary adds the same.
    """
    count = (config.vocab_size if config else None) or 0
    if config is None or not count:
        return TokenizerSize(0)
    doublings = math.log2(count)
    if config.model_type == "bert":  # WordPiece: no scores, no merges
        per_token = _TEXT_LENGTH + 4 + 8.5
    elif _is_sentence_piece(config):
        per_token = _TEXT_LENGTH + 4 + 4 + 6.4 + 0.38 * (doublings - 15)
    else:
        length = 7.4 + 1.1 * (doublings - 15.6)
        per_token = _TEXT_LENGTH + 4 + length + _merges_per_token(config) * (_TEXT_LENGTH + 1 + length)
    nbytes = round(count * per_token)
    return TokenizerSize(nbytes, math.ceil(ESTIMATE_BAND * nbytes))


def _is_sentence_piece(config: ModelConfig) -> bool:
    """Gemma and InternLM at any size, vocabularies of Llama 2's size, and Yi's; other larger ones are byte-level."""
    count = config.vocab_size or 0
    return config.model_type.startswith(("gemma", "internlm")) or count < 48_000 or count == 64_000


def _merges_per_token(config: ModelConfig) -> float:
    """One, where merges were trained; more than two, where they were reconstructed from a tiktoken vocabulary.

    Reconstructed were Llama 3 and 4 (128,256 and 202,048), gpt-oss (201,088) and Mistral's Tekken (131,072).
    """
    count, kind = config.vocab_size or 0, config.model_type
    tekken = kind in ("mistral", "mistral3", "mixtral") and count >= 131_072
    if tekken or kind.startswith(("gpt_oss", "llama4")) or (kind == "llama" and 128_000 <= count < 129_000):
        return 2.18
    return 1.0


def _word_piece(text: str) -> str:
    """The converter marks beginnings of words instead of their continuations."""
    if text.startswith("[") and text.endswith("]"):
        return text
    return text[2:] if text.startswith("##") else f"\N{LOWER ONE EIGHTH BLOCK}{text}"


def _texts_nbytes(key: str, texts: Iterable[str]) -> int:
    return len(key) + _LIST_HEADER + sum(_TEXT_LENGTH + len(text.encode("utf-8", "replace")) for text in texts)


@lru_cache(maxsize=8)
def _of_file(path: Path, vocab_size: int, changed: int) -> int | None:
    """None where the file is no tokenizer.json that can be read; `changed` keeps the cache honest."""
    try:
        return tokenizer_json_nbytes(msgspec.json.decode(read_capped(path, MAX_TOKENIZER_BYTES)), vocab_size)
    except _NOT_A_TOKENIZER:
        return None


def _template_nbytes(folder: Path) -> int:
    """Bytes of the chat template's key, 0 without one."""
    try:
        if is_file(folder / "chat_template.jinja"):
            text = read_capped(folder / "chat_template.jinja", TEMPLATE_LIMIT).decode("utf-8", "replace")
        else:
            settings = msgspec.json.decode(read_capped(folder / "tokenizer_config.json", TEMPLATE_LIMIT))
            text = settings.get("chat_template")
    except _NOT_A_TOKENIZER:
        return 0
    if not isinstance(text, str):
        return 0
    return _TEXT_LENGTH + len(_TEMPLATE) + 4 + _TEXT_LENGTH + len(text.encode("utf-8", "replace"))
