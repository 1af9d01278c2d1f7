"""A GGUF model, in one file or split into several, as a Checkpoint with the facts its keys state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from quantgui.checkpoint.gguf_header import GgufHeader, SkippedValue, read_gguf
from quantgui.checkpoint.regular_file import is_file
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import Checkpoint, ModelConfig, SourceKind, TensorInfo, UserError

MAX_PARTS = 1000

_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf", re.IGNORECASE)

_OTHER_KINDS = {
    "mmproj": "This is the image or audio part of a model (mmproj), not the language model.",
    "adapter": "This is an adapter (LoRA), not a whole model.",
    "imatrix": "This is an importance matrix, not a model.",
}
"""`general.type` of GGUF files that are no model."""


def open_gguf(path: Path) -> Checkpoint:
    """A GGUF file and, where it is one part of several, its sister files.

    Raises UserError for a damaged file, a missing part, and a tensor that two parts hold.
    """
    files = part_files(path)
    headers = [read_gguf(file) for file in files]
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    _check_unique(tensors)
    config = _config(headers[0].keys, tensors)
    part = _PART.fullmatch(path.name)
    stem = part["stem"] if part else path.name.removesuffix(path.suffix)
    return Checkpoint(
        name=stem,
        kind=SourceKind.GGUF,
        path=str(files[0]),
        tensors=tensors,
        config=config,
        notes=tuple(_notes(headers[0], tensors, len(files))),
    )


def part_files(path: Path) -> tuple[Path, ...]:
    """All files of a model in order: the file alone where it is not one part of several.

    Raises UserError for a missing part.
    """
    part = _PART.fullmatch(path.name)
    return tuple(path.parent / name for name in _part_names(path, part)) if part else (path,)


def check_is_model(checkpoint: Checkpoint) -> None:
    """Raises UserError for a GGUF file of something else: a projector, an adapter, an importance matrix."""
    other = next((note for note in checkpoint.notes if note in _OTHER_KINDS.values()), None)
    if other is not None:
        raise UserError(f"“{checkpoint.name}” is not a language model.", hint=f"{other} Choose the model's own file.")


def _part_names(path: Path, part: re.Match[str]) -> list[str]:
    total = int(part["total"])
    if not 1 <= int(part["number"]) <= total <= MAX_PARTS:
        raise UserError(f"“{path.name}” has impossible part numbers in its name.", hint="Give the file its old name.")
    names = [f"{part['stem']}-{number:05d}-of-{total:05d}.gguf" for number in range(1, total + 1)]
    missing = [name for name in names if not is_file(path.parent / name)]
    if missing:
        raise UserError(
            f"“{missing[0]}” is missing: the model comes in {total} parts, and {len(missing)} of them are not here.",
            hint="Download the missing parts into the same folder.",
        )
    return names


def _check_unique(tensors: Iterable[TensorInfo]) -> None:
    files: dict[str, str] = {}
    for tensor in tensors:
        if tensor.name in files:
            raise UserError(
                f"“{files[tensor.name]}” and “{tensor.file}” both hold the tensor “{tensor.name}”.",
                hint="The parts do not belong together; download all of them again.",
            )
        files[tensor.name] = tensor.file


def _config(keys: Mapping[str, Any], tensors: tuple[TensorInfo, ...]) -> ModelConfig | None:
    architecture = keys.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        return None

    def number(key: str) -> int | None:
        value = keys.get(f"{architecture}.{key}")
        values = value if isinstance(value, list) else [value]  # one entry per layer: the largest counts
        return max((v for v in values if type(v) is int and v > 0), default=None)

    hidden, heads = number("embedding_length"), number("attention.head_count")
    derived = hidden // heads if hidden and heads and hidden % heads == 0 else None
    names = {tensor.name for tensor in tensors}
    return ModelConfig(
        model_type=architecture,
        hidden_size=hidden,
        num_layers=number("block_count"),
        num_heads=heads,
        num_kv_heads=number("attention.head_count_kv") or heads,
        head_dim=number("attention.key_length") or derived,
        intermediate_size=number("feed_forward_length"),
        vocab_size=number("vocab_size") or _length(keys.get("tokenizer.ggml.tokens")),
        context_length=number("context_length"),
        tied_embeddings=_is_tied(keys, architecture, names),
        quantization="gguf" if any(BY_NAME[tensor.dtype].is_quantized for tensor in tensors) else None,
        raw={key: _plain(value) for key, value in keys.items()},
    )


def _is_tied(keys: Mapping[str, Any], architecture: str, names: set[str]) -> bool:
    """llama.cpp uses the embedding as head where the file has none; encoders have no head at all."""
    is_encoder = keys.get(f"{architecture}.attention.causal") is False
    return "token_embd.weight" in names and "output.weight" not in names and not is_encoder


def _length(value: Any) -> int | None:
    if isinstance(value, SkippedValue):
        return value.length or None
    return len(value) or None if isinstance(value, list) else None


def _plain(value: Any) -> Any:
    return {"length": value.length} if isinstance(value, SkippedValue) else value


def _notes(header: GgufHeader, tensors: tuple[TensorInfo, ...], parts: int) -> list[str]:
    notes = []
    kind = header.keys.get("general.type", "model")
    if kind in _OTHER_KINDS:
        notes.append(_OTHER_KINDS[kind])
    if parts > 1:
        notes.append(f"The model comes in {parts} files; all of them were read.")
    if not tensors:
        notes.append("The file holds no tensors, only a vocabulary.")
    if "general.architecture" not in header.keys:
        notes.append("The file does not state its architecture; memory beyond the weights cannot be estimated.")
    return notes
