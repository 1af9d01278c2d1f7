"""A GGUF file before it exists: every key, tensor, type and byte. Serves the estimate, the preflight and the writer."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from quantgui.formats.gguf.file_types import FileType
from quantgui.formats.gguf.key_values import KeyValue, encode_keys, u32
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.source import facts_of, keys_of, tensors_of
from quantgui.formats.gguf.tensor_size import ALIGNMENT, padded, tensor_nbytes
from quantgui.formats.gguf.type_plan import (
    Fallback,
    PlanOptions,
    fallbacks,
    is_quantizable,
    needs_imatrix,
    plan_types,
)
from quantgui.formats.planning import PlannedFile, PlannedTensor
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import Checkpoint, SourceKind

VERSION = 3
QUANTIZATION_VERSION = 2
"""Of ggml's block layouts."""

_HEAD = struct.Struct("<4sIQQ")
_COUNT = struct.Struct("<I")
_PLACE = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True)
class GgufPlan:
    """One file to be written. `tensors` and `types` go together; `file` has the header's bytes and all places."""

    tensors: tuple[GgufTensor, ...]
    types: tuple[str, ...]
    file: PlannedFile
    file_type: FileType
    warnings: tuple[str, ...]

    @property
    def needs_imatrix(self) -> bool:
        """Whether llama-quantize refuses these types without an importance matrix."""
        return needs_imatrix(self.tensors, self.types, self.file_type)


def plan_gguf(
    checkpoint: Checkpoint, file_type: FileType, options: PlanOptions, name: str, more: Sequence[KeyValue] = ()
) -> GgufPlan:
    """The file `name` of a checkpoint; `more` are keys that go behind all others.

    Raises UserError for what cannot be converted.
    """
    tensors, types = planned_types(checkpoint, file_type, options)
    keys, warnings = keys_of(checkpoint, tensors)
    again = {key.key for key in more}  # another GGUF file may state them of the run that made it
    keys = [key for key in keys if key.key not in again]
    keys += [u32("general.quantization_version", QUANTIZATION_VERSION), u32("general.file_type", file_type.id), *more]
    replaced = fallbacks(tensors, facts_of(checkpoint, tensors), file_type, options)
    return GgufPlan(
        tensors=tensors,
        types=types,
        file=plan_file(name, keys, tensors, types),
        file_type=file_type,
        warnings=(*warnings, *_kept_blocks(tensors, types), *map(_warning, replaced)),
    )


def planned_types(
    checkpoint: Checkpoint, file_type: FileType, options: PlanOptions
) -> tuple[tuple[GgufTensor, ...], tuple[str, ...]]:
    """The tensors and the type of each. What llama-quantize does not touch keeps its type in another GGUF file."""
    tensors = tensors_of(checkpoint)
    types = plan_types(tensors, facts_of(checkpoint, tensors), file_type, options)
    if checkpoint.kind is not SourceKind.GGUF:
        return tensors, types
    stored = {tensor.name: tensor.dtype for tensor in checkpoint.tensors}
    kept = (kind if is_quantizable(t, options) else stored[t.name] for t, kind in zip(tensors, types, strict=True))
    return tensors, tuple(kept)


def plan_file(name: str, keys: Sequence[KeyValue], tensors: Sequence[GgufTensor], types: Sequence[str]) -> PlannedFile:
    """Header and places of the tensors, each at a multiple of 32 bytes."""
    parts = [_HEAD.pack(b"GGUF", VERSION, len(tensors), len(keys)), encode_keys(keys)]
    planned, offset = [], 0
    for tensor, kind in zip(tensors, types, strict=True):
        nbytes, shape = tensor_nbytes(tensor.shape, kind), tensor.shape or (1,)
        text = tensor.name.encode()
        parts += [
            struct.pack("<Q", len(text)),
            text,
            _COUNT.pack(len(shape)),
            struct.pack(f"<{len(shape)}Q", *reversed(shape)),
            _PLACE.pack(BY_NAME[kind].id, offset),
        ]
        planned.append(PlannedTensor(tensor.name, kind, shape, nbytes, offset))
        offset += padded(nbytes)
    header = b"".join(parts)
    header += bytes(-len(header) % ALIGNMENT)
    return PlannedFile(name, header, tuple(planned), ALIGNMENT)


def _kept_blocks(tensors: Sequence[GgufTensor], types: Sequence[str]) -> tuple[str, ...]:
    pairs = zip(tensors, types, strict=True)
    kept = {kind for tensor, kind in pairs if tensor.stored_type == kind}
    return tuple(f"The experts stay in {kind}, as the model stores them: no weight is rounded again." for kind in kept)


def _warning(fallback: Fallback) -> str:
    tensors = "1 tensor is" if fallback.count == 1 else f"{fallback.count:,} tensors are"
    blocks = BY_NAME[fallback.wanted].block_elements
    return (
        f"{tensors} stored as {fallback.given} instead of {fallback.wanted}: "
        f"rows of {fallback.row:,} weights do not fill its blocks of {blocks}."
    )
