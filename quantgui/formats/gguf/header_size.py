"""What stands before the tensors of a GGUF file: exactly where the model's folder is there, else from the config.

In small models the vocabulary decides: Llama 3's takes 7.8 MB, 1 % of a 1B model at 4 bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from quantgui.formats.gguf.key_values import encode_keys
from quantgui.formats.gguf.metadata import model_keys
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.source import vocabulary_of
from quantgui.formats.gguf.tokenizer import tokenizer_files, vocabulary_keys
from quantgui.types import Checkpoint, ModelConfig, SourceKind, UserError

FIXED_BYTES = 4 + 4 + 8 + 8
"""Magic, version, number of tensors, number of keys."""
FILE_TYPE_BYTES = (8 + len("general.quantization_version") + 4 + 4) + (8 + len("general.file_type") + 4 + 4)
"""The two keys that every file gets last."""
MODEL_KEYS_BYTES = 1_900
"""Keys beside the tokenizer's, where they cannot be made yet: names and sizes of the model. Estimated, ± 1 kB."""
ESTIMATE_BAND = 0.12
"""Relative error of an estimated vocabulary: those whose bytes are known lie within it."""

_TEXT_LENGTH = 8
"""GGUF states the length of every text in 8 bytes."""
_States = tuple[tuple[str, int, int], ...]
_MODEL_FILES = ("config.json", "modules.json", "1_Pooling/config.json")
"""What the keys are made of beside the tokenizer's files."""


@dataclass(frozen=True, slots=True)
class KeySize:
    """Bytes of some keys and how far off they may be; a band of 0 means exact."""

    nbytes: int
    band: int = 0


def header_size(checkpoint: Checkpoint, tensors: Sequence[GgufTensor]) -> KeySize:
    """Bytes before the padding that leads to the data. Exact where keys and tokenizer can be made from files."""
    keys = _known_keys(checkpoint, tensors)
    listed = FIXED_BYTES + FILE_TYPE_BYTES + tensor_infos_nbytes(tensors)
    return KeySize(listed + keys.nbytes, keys.band)


def tensor_infos_nbytes(tensors: Sequence[GgufTensor]) -> int:
    """Bytes of the header's tensor list: name with its length, dimensions, type, offset."""
    return sum(8 + len(tensor.name.encode()) + 4 + 8 * max(1, len(tensor.shape)) + 4 + 8 for tensor in tensors)


def _known_keys(checkpoint: Checkpoint, tensors: Sequence[GgufTensor]) -> KeySize:
    config = checkpoint.config
    if not checkpoint.path or checkpoint.kind not in (SourceKind.FOLDER, SourceKind.SAFETENSORS) or config is None:
        return estimated_size(config)
    path = Path(checkpoint.path)
    folder = path if path.is_dir() else path.parent
    rows = next((tensor.shape[0] for tensor in tensors if tensor.name == "token_embd.weight"), 0)
    files = (*tokenizer_files(folder), *(folder / name for name in _MODEL_FILES))
    return _of_files(checkpoint.name, checkpoint.path, config, rows, tuple(_state(path) for path in files))


@lru_cache(maxsize=8)
def _of_files(name: str, path: str, config: ModelConfig, rows: int, states: _States) -> KeySize:
    """Of the files beside a checkpoint; `states`, of each file, keep the cache honest."""
    checkpoint = Checkpoint(name, SourceKind.FOLDER, path, (), config)
    try:
        vocabulary = vocabulary_of(checkpoint, rows)
        nbytes = len(encode_keys(vocabulary_keys(vocabulary)))
    except UserError:
        return estimated_size(config)
    try:
        return KeySize(nbytes + len(encode_keys(model_keys(checkpoint, vocabulary.texts))))
    except UserError:
        return KeySize(nbytes + MODEL_KEYS_BYTES, MODEL_KEYS_BYTES)


def _state(path: Path) -> tuple[str, int, int]:
    """Name, bytes and time of writing in nanoseconds; zeros where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return path.name, 0, 0
    return path.name, found.st_size, found.st_mtime_ns


def estimated_size(config: ModelConfig | None) -> KeySize:
    """All keys, from the size of the vocabulary and its kind: how long tokens are and how many merges make them.

    Mean lengths are fits to published files: 7.4 bytes at 50,000 and 9.1 at 150,000 byte-level tokens, 6.4 at 32,000
    and 7.5 at 256,000 SentencePiece tokens; each doubling of a vocabulary adds the same.
    """
    count = (config.vocab_size if config else None) or 0
    if config is None or not count:
        return KeySize(MODEL_KEYS_BYTES, MODEL_KEYS_BYTES)
    doublings = math.log2(count)
    if config.model_type == "bert":  # WordPiece: no scores, no merges
        per_token = _TEXT_LENGTH + 4 + 8.5
    elif _is_sentence_piece(config):
        per_token = _TEXT_LENGTH + 4 + 4 + 6.4 + 0.38 * (doublings - 15)
    else:
        length = 7.4 + 1.1 * (doublings - 15.6)
        per_token = _TEXT_LENGTH + 4 + length + _merges_per_token(config) * (_TEXT_LENGTH + 1 + length)
    nbytes = round(count * per_token)
    return KeySize(MODEL_KEYS_BYTES + nbytes, MODEL_KEYS_BYTES + math.ceil(ESTIMATE_BAND * nbytes))


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
