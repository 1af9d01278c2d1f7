"""The output before it exists: every file, tensor and byte. Serves the estimate, the preflight and the writer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from quantgui.schemes.assignment import Assignment
from quantgui.schemes.scheme import StoredPart

SINGLE_FILE = "model.safetensors"


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
    """One safetensors file: its header as it will be written, and its tensors in order."""

    name: str
    header: bytes
    tensors: tuple[PlannedTensor, ...]

    @property
    def nbytes(self) -> int:
        """Size of the file, header included."""
        return len(self.header) + sum(t.nbytes for t in self.tensors)


def plan_files(assignments: Iterable[Assignment]) -> tuple[PlannedFile, ...]:
    """The output files: one per source file, named `model.safetensors` or `model-0000i-of-0000n.safetensors`."""
    by_source: dict[str, list[tuple[str, StoredPart]]] = {}
    for assignment in assignments:
        parts = by_source.setdefault(assignment.tensor.file, [])
        parts.extend((part.name_for(assignment.tensor.name), part) for part in assignment.parts())
    count = len(by_source)
    names = [SINGLE_FILE] if count == 1 else [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    return tuple(_plan_file(name, parts) for name, parts in zip(names, by_source.values(), strict=True))


def planned_file_bytes(assignments: Iterable[Assignment]) -> int:
    """Bytes of the weight files these assignments will be written as, headers included."""
    return sum(file.nbytes for file in plan_files(assignments))


def _plan_file(name: str, parts: list[tuple[str, StoredPart]]) -> PlannedFile:
    offset = 0
    tensors = []
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    # Widest elements first, as the safetensors library does, so that every tensor is aligned to its element size.
    for tensor_name, part in sorted(parts, key=lambda item: -item[1].element_bytes):
        size = part.nbytes
        tensors.append(PlannedTensor(tensor_name, part.dtype, part.shape, size, offset))
        entries[tensor_name] = {"dtype": part.dtype, "shape": list(part.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return PlannedFile(name, len(text).to_bytes(8, "little") + text, tuple(tensors))
