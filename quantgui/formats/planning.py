"""The output before it exists: every file, tensor and byte. Serves the estimate, the preflight and the writer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii

from quantgui.schemes.assignment import Assignment
from quantgui.schemes.scheme import DTYPE_BYTES, Scheme, StoredPart
from quantgui.types import UserError

SINGLE_FILE = "model.safetensors"
METADATA = {"format": "pt"}


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor of an output file; `offset` counts from the start of the file's data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    offset: int


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One weight file: its header as it will be written, and its tensors in order.

    Each tensor is padded to a multiple of `alignment` bytes: 1 in safetensors, 32 in GGUF.
    """

    name: str
    header: bytes
    tensors: tuple[PlannedTensor, ...]
    alignment: int = 1

    @property
    def nbytes(self) -> int:
        """Size of the file, header and padding included."""
        return len(self.header) + sum(-(-t.nbytes // self.alignment) * self.alignment for t in self.tensors)


def plan_files(assignments: Iterable[Assignment]) -> tuple[PlannedFile, ...]:
    """The output files: one per source file, named `model.safetensors` or `model-0000i-of-0000n.safetensors`.

    Raises UserError where two tensors would get the same name.
    """
    by_source: dict[str, list[_Entry]] = {}
    names: set[str] = set()
    for assignment in assignments:
        entries = by_source.setdefault(assignment.tensor.file, [])
        for part in assignment.parts():
            name = part.name_for(assignment.tensor.name)
            if name in names:
                raise UserError(
                    f"The result would hold two tensors called {name}.",
                    hint=f"The model has one of that name already. Keep {assignment.tensor.name} by a rule.",
                )
            names.add(name)
            entries.append((name, part.dtype, part.shape, _part_bytes(assignment, part)))
    count = len(by_source)
    files = [SINGLE_FILE] if count == 1 else [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    return tuple(_plan_file(name, entries) for name, entries in zip(files, by_source.values(), strict=True))


def planned_file_bytes(assignments: Iterable[Assignment]) -> int:
    """Bytes of the weight files these assignments will be written as, headers included.

    Counts what `plan_files` would build without building it: a mixture of 90,000 tensors is asked about while a slider
    moves.
    """
    by_source: dict[str, dict[int, list[tuple[int, int]]]] = {}
    known: dict[tuple[Scheme | None, str, tuple[int, ...]], tuple[tuple[StoredPart, int, int, int], ...]] = {}
    for assignment in assignments:
        tensor = assignment.tensor
        key = (assignment.scheme, tensor.dtype, tensor.shape)
        if key not in known:
            known[key] = tuple(
                (part, _width(part.dtype), _entry_length(part), _part_bytes(assignment, part))
                for part in assignment.parts()
            )
        widths = by_source.setdefault(tensor.file, {})
        for part, width, length, nbytes in known[key]:
            name = encode_basestring_ascii(part.name_for(tensor.name))
            widths.setdefault(width, []).append((len(name) + length, nbytes))
    return sum(map(_file_bytes, by_source.values()))


_Entry = tuple[str, str, tuple[int, ...], int]
"""Name, dtype, shape and bytes of a tensor to be written."""


def _part_bytes(assignment: Assignment, part: StoredPart) -> int:
    """A kept tensor's bytes are the source's, whatever its type; that type may not even fill whole bytes."""
    return assignment.tensor.nbytes if assignment.scheme is None else part.nbytes


def _width(dtype: str) -> int:
    """Bytes per element, 1 for the types of less than a byte."""
    return DTYPE_BYTES.get(dtype, 1)


def _entry_length(part: StoredPart) -> int:
    """Characters of a tensor's entry in the header, its comma included, name and offsets not."""
    entry = {"dtype": part.dtype, "shape": list(part.shape), "data_offsets": []}
    return len(",:") + len(json.dumps(entry, separators=(",", ":"))) + len(",")  # and the comma between the offsets


def _file_bytes(widths: dict[int, list[tuple[int, int]]]) -> int:
    """Bytes of one file from (characters, bytes) of its tensors by the width of their elements."""
    text = len(json.dumps({"__metadata__": METADATA}, separators=(",", ":")))
    offset = 0
    for width in sorted(widths, reverse=True):
        for length, nbytes in widths[width]:
            text += length + len(str(offset)) + len(str(offset + nbytes))
            offset += nbytes
    return 8 + text + -text % 8 + offset


def _plan_file(name: str, parts: list[_Entry]) -> PlannedFile:
    offset = 0
    tensors = []
    entries: dict[str, object] = {"__metadata__": METADATA}
    # Widest elements first, as the safetensors library does, so that every tensor is aligned to its element size.
    for tensor_name, dtype, shape, size in sorted(parts, key=lambda entry: -_width(entry[1])):
        tensors.append(PlannedTensor(tensor_name, dtype, shape, size, offset))
        entries[tensor_name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return PlannedFile(name, len(text).to_bytes(8, "little") + text, tuple(tensors))
