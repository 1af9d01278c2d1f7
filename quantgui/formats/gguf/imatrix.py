"""The importance matrix: how much the error of each input channel of a tensor matters, as llama.cpp keeps it in a file.

The file is a GGUF with two F32 tensors per weight: `<name>.in_sum2` [matrices, columns], the sum of squared inputs,
and `<name>.counts` [matrices, 1], how many tokens went in. The importance is their quotient, and 1 for a matrix that no
token reached (an expert). Embeddings have no entry.

llama-imatrix stores a dense stack (the heads of latent attention) as a single matrix of all columns, and an older one
did so with experts. Other tensors of its files, as the sums of the inputs themselves (`<name>.in_sum`), are statistics.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantgui.checkpoint.gguf_header import read_gguf, read_raw_keys
from quantgui.checkpoint.regular_file import open_regular
from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, text, u32
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.plan import plan_file
from quantgui.types import TensorInfo, UserError

SUMS, COUNTS = ".in_sum2", ".counts"
KIND = "imatrix"
DATASETS, CHUNK_COUNT, CHUNK_SIZE = "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"
MODEL = "general.name"
"""The model that the matrix was computed from; files of llama-imatrix do not tell."""
LONGEST_NOTE = 127
"""Bytes of a text that llama-quantize keeps in the quantized file."""
_AGAIN = "Compute it again here or with llama-imatrix of a current llama.cpp."


@dataclass(frozen=True, eq=False)
class TensorImportance:
    """Sums of squared inputs float32 [matrices, columns] and tokens float32 [matrices] of one weight."""

    sums: np.ndarray
    counts: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """Mean squared inputs float32 [matrices, columns]; ones for a matrix that no token reached."""
        counts = self.counts[:, None]
        return np.where(counts > 0, self.sums / np.where(counts > 0, counts, 1), 1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class ImportanceMatrix:
    """By the name of the weight in GGUF ("blk.0.attn_q.weight")."""

    entries: Mapping[str, TensorImportance]
    dataset: str  # name of the text
    chunks: int  # samples of the text
    chunk_tokens: int  # tokens of a sample
    model: str = ""  # name of the model; "" where the file does not tell

    def values(self, tensors: Iterable[GgufTensor]) -> dict[str, np.ndarray]:
        """What quantizing these tensors needs: float32 [matrices, columns] by name, of those that have an entry.

        Raises ValueError for an entry that does not fit its tensor; see `fits`.
        """
        found = {tensor: self.entries[tensor.name] for tensor in tensors if tensor.name in self.entries}
        return {tensor.name: entry.values.reshape(entry_shape(tensor)) for tensor, entry in found.items()}

    def keys(self, file: str) -> tuple[KeyValue, ...]:
        """What llama-quantize notes in a file that was quantized with this matrix, which it read from `file`."""
        return (
            text("quantize.imatrix.file", _cut(file)),
            text("quantize.imatrix.dataset", _cut(self.dataset)),
            u32("quantize.imatrix.entries_count", len(self.entries)),
            u32("quantize.imatrix.chunks_count", self.chunks),
        )


@dataclass(frozen=True, slots=True)
class MatrixFacts:
    """What the header of an importance matrix tells, without its values."""

    shapes: Mapping[str, tuple[int, int]]  # matrices and columns, by the name of the weight in GGUF
    dataset: str
    chunks: int
    chunk_tokens: int
    model: str

    def misfit(self, tensors: Iterable[GgufTensor]) -> str:
        """The first of the tensors for which the matrix has an entry of another size, "" where all fit."""
        return next((t.name for t in tensors if t.name in self.shapes and not fits(self.shapes[t.name], t)), "")


def entry_shape(tensor: GgufTensor) -> tuple[int, int]:
    """Matrices and columns of a tensor's entry: a stack of experts has a matrix for each."""
    *outer, columns = tensor.shape or (0,)
    return (outer[0] if len(outer) > 1 else 1, columns)


def fits(shape: tuple[int, ...], tensor: GgufTensor) -> bool:
    """Whether an entry of so many matrices and columns is one of this tensor: as it is, or as a single matrix."""
    matrices, columns = entry_shape(tensor)
    return shape in ((matrices, columns), (1, matrices * columns))


def write_imatrix(path: Path, matrix: ImportanceMatrix) -> None:
    """Writes the file in one piece. Raises OSError where the disk refuses."""
    tensors, arrays = [], []
    for name, entry in sorted(matrix.entries.items()):
        for suffix, values in ((SUMS, entry.sums), (COUNTS, entry.counts[:, None])):
            # As ggml lists shapes: without the outer dimension where it is 1.
            tensors.append(GgufTensor(name + suffix, values.shape if len(values) > 1 else values.shape[1:]))
            arrays.append(np.ascontiguousarray(values, "<f4"))
    keys = (
        text("general.type", KIND),
        array_of(DATASETS, ValueKind.STRING, [matrix.dataset]),
        u32(CHUNK_COUNT, matrix.chunks),
        u32(CHUNK_SIZE, matrix.chunk_tokens),
        *((text(MODEL, matrix.model),) if matrix.model else ()),
    )
    plan = plan_file(path.name, keys, tensors, ["F32"] * len(tensors))
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            stream.write(plan.header)
            for place, values in zip(plan.tensors, arrays, strict=True):
                stream.seek(len(plan.header) + place.offset)
                stream.write(values.tobytes())
            stream.truncate(plan.nbytes)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_imatrix(path: Path) -> ImportanceMatrix:
    """The importance matrix of a file. Raises UserError for anything that is none, or holds what cannot be."""
    facts, tensors = _read_header(path)
    entries = {name: _entry(path, name, tensors) for name in facts.shapes}
    return ImportanceMatrix(entries, facts.dataset, facts.chunks, facts.chunk_tokens, facts.model)


def read_facts(path: Path) -> MatrixFacts:
    """What the file's header tells; its values are not read. Raises UserError for anything that is no such file."""
    return _read_header(path)[0]


def _read_header(path: Path) -> tuple[MatrixFacts, dict[str, TensorInfo]]:
    header = read_gguf(path)
    chunks, chunk_tokens = header.keys.get(CHUNK_COUNT), header.keys.get(CHUNK_SIZE)
    if header.keys.get("general.type") != KIND or type(chunks) is not int or type(chunk_tokens) is not int:
        raise UserError(f"“{path.name}” is not an importance matrix.", hint=_AGAIN)
    tensors = {tensor.name: tensor for tensor in header.tensors}
    names = {name.removesuffix(suffix) for name in tensors for suffix in (SUMS, COUNTS) if name.endswith(suffix)}
    shapes = {name: _shape(path, name, tensors) for name in sorted(names)}
    if not shapes:
        raise UserError(f"“{path.name}” is an importance matrix without entries.", hint=_AGAIN)
    model = header.keys.get(MODEL)
    facts = MatrixFacts(shapes, _dataset(path), chunks, chunk_tokens, model if isinstance(model, str) else "")
    return facts, tensors


def _shape(path: Path, name: str, tensors: Mapping[str, TensorInfo]) -> tuple[int, int]:
    """Matrices and columns of an entry. Raises UserError where its two tensors do not belong together."""
    sums, counts = tensors.get(name + SUMS), tensors.get(name + COUNTS)
    if sums is None or counts is None:
        raise UserError(f"“{path.name}” lacks half of what it says about {name}.", hint=_AGAIN)
    matrices = counts.numel
    is_known = {sums.dtype, counts.dtype} == {"F32"} and matrices and sums.numel
    if not is_known or sums.shape[:-1] not in _outer(matrices):
        raise UserError(f"“{path.name}” holds {name} in an unexpected shape or type.", hint=_AGAIN)
    return matrices, sums.shape[-1]


def _entry(path: Path, name: str, tensors: Mapping[str, TensorInfo]) -> TensorImportance:
    sums, counts = tensors[name + SUMS], tensors[name + COUNTS]
    values = TensorImportance(_read(path, sums).reshape(counts.numel, -1), _read(path, counts))
    for numbers in (values.sums, values.counts):
        if not np.isfinite(numbers).all() or (numbers < 0).any():
            raise UserError(f"“{path.name}” has negative or infinite values for {name}.", hint=_AGAIN)
    return values


def _outer(matrices: int) -> tuple[tuple[int, ...], ...]:
    """The outer dimensions that so many matrices may have."""
    return ((matrices,),) if matrices > 1 else ((), (1,))


def _read(path: Path, tensor: TensorInfo) -> np.ndarray:
    with open_regular(path) as stream:
        stream.seek(tensor.offset)
        return np.frombuffer(stream.read(tensor.nbytes), "<f4").astype(np.float32)


def _dataset(path: Path) -> str:
    """The first text of the key that names the texts: kind, kind of the elements, count, length, bytes."""
    entry = dict(read_raw_keys(path)).get(DATASETS, b"")
    start = 8 + len(DATASETS) + 4 + 4
    if len(entry) < start + 16 or not struct.unpack_from("<Q", entry, start)[0]:
        return ""
    (length,) = struct.unpack_from("<Q", entry, start + 8)
    return entry[start + 16 : start + 16 + length].decode("utf-8", "replace")


def _cut(value: str) -> str:
    return value.encode()[:LONGEST_NOTE].decode("utf-8", "ignore")
