"""How large a GGUF file becomes, before it exists: tensor data exactly, keys and tokenizer exactly or estimated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from quantgui.formats.gguf.file_types import FILE_TYPES
from quantgui.formats.gguf.header_size import header_size
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.source import facts_of, kept_type, tensors_of
from quantgui.formats.gguf.tensor_size import padded, tensor_nbytes
from quantgui.formats.gguf.type_plan import PlanOptions, plan_types
from quantgui.types import Checkpoint


def padded_sizes(tensors: Iterable[GgufTensor], types: Iterable[str]) -> tuple[int, ...]:
    """Bytes of each tensor in the data section, padded to the alignment."""
    return tuple(padded(tensor_nbytes(tensor.shape, name)) for tensor, name in zip(tensors, types, strict=True))


@dataclass(frozen=True, slots=True)
class GgufRow:
    """One file type: bytes of each tensor, padded, in the file's order, and of the whole file."""

    name: str
    tensor_bytes: tuple[int, ...]
    file_bytes: int

    @property
    def nbytes(self) -> int:
        """Bytes of the data section."""
        return sum(self.tensor_bytes)


def planned_rows(
    checkpoint: Checkpoint, imatrix: bool = False, fused_apart: bool = False
) -> tuple[tuple[GgufTensor, ...], tuple[GgufRow, ...]]:
    """The tensors of the GGUF file, and their sizes under every file type, largest first.

    Tensor data is exactly what `llama-quantize` writes today, with `fused_apart` what it wrote into 2026, which
    differs in models with fused query, key and value. The rest of the file is exact where it can be written from here
    (an importance matrix adds its name), estimated where the model's files are not there. Raises UserError where
    llama.cpp's names for this architecture or for one of its tensors are not known.
    """
    tensors = tensors_of(checkpoint)
    facts = facts_of(checkpoint, tensors)
    options = PlanOptions(imatrix=imatrix, fused_apart=fused_apart, source_type=kept_type(checkpoint))
    header = padded(header_size(checkpoint, tensors).nbytes)
    rows = []
    for name, file_type in FILE_TYPES.items():
        sizes = padded_sizes(tensors, plan_types(tensors, facts, file_type, options))
        rows.append(GgufRow(name, sizes, header + sum(sizes)))
    return tensors, tuple(sorted(rows, key=lambda row: -row.nbytes))


def gguf_rows(
    checkpoint: Checkpoint, imatrix: bool = False, fused_apart: bool = False
) -> tuple[tuple[str, int, int], ...]:
    """(file type, bytes of tensor data, bytes of the file) of `planned_rows`. Raises UserError as it does."""
    _, rows = planned_rows(checkpoint, imatrix, fused_apart)
    return tuple((row.name, row.nbytes, row.file_bytes) for row in rows)
