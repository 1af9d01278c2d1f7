"""Bytes of the weights under every precision, from the recipe that would be run and the only size formula there is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from quantgui.checkpoint.architectures import tensor_shapes
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.fit.weight_split import WeightSplit, checkpoint_plan
from quantgui.formats.plain import FLOAT_DTYPES
from quantgui.formats.planning import planned_file_bytes
from quantgui.formats.registry import is_unpacked
from quantgui.quant.assignment import assign
from quantgui.quant.registry import rows
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.schemes.scheme import DTYPE_BYTES
from quantgui.types import Checkpoint, Role, SourceKind, UserError
from quantgui.units import percent

STORED = "stored"
"""Scheme id of an already quantized checkpoint as it is."""
GGUF_ALIGNMENT = 32
"""Bytes to which writers pad the data of each tensor, the last one included."""


@dataclass(frozen=True, slots=True)
class WeightBytes:
    """The weights under one precision."""

    scheme_id: str
    nbytes: int
    file_bytes: int | None
    parameters: int | None
    note: str = ""
    split: WeightSplit = field(default_factory=WeightSplit)
    packed_bytes: int | None = None  # where memory holds more than the file: what the file holds of it
    unpacked: WeightBytes | None = None  # what transformers holds, where it does not compute with packed weights

    @property
    def role_bytes(self) -> Mapping[Role, int]:
        """Bytes by what a tensor does."""
        return self.split.role_bytes

    @property
    def layer_bytes(self) -> tuple[int, ...]:
        """Bytes of each transformer layer; embedding, head and towers lie outside."""
        return self.split.layer_bytes

    @property
    def expert_layer_bytes(self) -> tuple[int, ...]:
        """Bytes of the routed experts in each layer; part of `layer_bytes`."""
        return self.split.expert_layer_bytes

    @property
    def bits_per_weight(self) -> float:
        """8 * bytes in the file / parameters; 0 where the number of parameters is not known."""
        return 8 * self.stored_bytes / self.parameters if self.parameters else 0.0

    @property
    def stored_bytes(self) -> int:
        """Bytes in the file."""
        return self.nbytes if self.packed_bytes is None else self.packed_bytes


def active_bytes(weights: WeightBytes) -> int:
    """Bytes read to generate one token: everything but rows looked up, and of the routed experts only those used.

    A tied embedding is read once, as the head.
    """
    split = weights.split
    idle = (1 - split.expert_share) * sum(split.expert_layer_bytes)
    return weights.nbytes - split.lookup_bytes - math.floor(idle)


@per_checkpoint
def parameters(checkpoint: Checkpoint) -> int | None:
    """Number of weights before any packing; None where neither headers nor config tell."""
    if not is_quantized(checkpoint) or checkpoint.kind is SourceKind.GGUF:
        return checkpoint.parameters  # GGUF headers state logical shapes
    if checkpoint.config is None:
        return None
    try:
        shapes = tensor_shapes(checkpoint.config)
    except UserError:
        return None
    return sum(math.prod(shape) for _, shape in shapes)


@per_checkpoint
def is_quantized(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint is packed or quantized already, so that no further precision applies."""
    if checkpoint.config is not None and checkpoint.config.quantization:
        return True
    if any(t.dtype not in DTYPE_BYTES for t in checkpoint.tensors):
        return True  # blocks of ggml, which hold their own scales
    floats = sum(t.nbytes for t in checkpoint.tensors if t.dtype in FLOAT_DTYPES)
    return 2 * floats < checkpoint.nbytes


@per_checkpoint
def weights_per_row(checkpoint: Checkpoint) -> tuple[WeightBytes, ...]:
    """The weights under every row of the registry; of an already quantized checkpoint its own bytes alone, and of a
    GGUF file, which becomes no folder.
    """
    if is_quantized(checkpoint) or checkpoint.kind is SourceKind.GGUF:
        return (_stored(checkpoint),)
    return tuple(recipe_weights(checkpoint, Recipe(SchemeSpec(row.id))) for row in rows())


def recipe_weights(checkpoint: Checkpoint, recipe: Recipe) -> WeightBytes:
    """The weights under one recipe. Raises UserError for unknown schemes and ValueError for a broken pattern."""
    assignments = assign(checkpoint, recipe)
    sizes = [assignment.nbytes for assignment in assignments]
    packed = WeightBytes(
        scheme_id=recipe.base.id,
        nbytes=sum(sizes),
        file_bytes=planned_file_bytes(assignments),
        parameters=parameters(checkpoint),
        note=_kept_note(assignments),
        split=checkpoint_plan(checkpoint).split(sizes),
    )
    return replace(packed, unpacked=_unpacked(checkpoint, assignments, packed))


def _unpacked(checkpoint: Checkpoint, assignments: tuple[Assignment, ...], packed: WeightBytes) -> WeightBytes | None:
    """The same weights as transformers holds them once it has computed; None where that is as they are stored."""
    if not any(is_unpacked(assignment) for assignment in assignments):
        return None
    sizes = [a.tensor.nbytes if is_unpacked(a) else a.nbytes for a in assignments]
    split = checkpoint_plan(checkpoint).split(sizes)
    return replace(packed, nbytes=sum(sizes), split=split, packed_bytes=packed.nbytes)


def _stored(checkpoint: Checkpoint) -> WeightBytes:
    method = checkpoint.config.quantization if checkpoint.config else None
    if checkpoint.kind is SourceKind.GGUF or method is None:
        method = checkpoint.dtype
    what = "Already quantized" if is_quantized(checkpoint) else "As it is"
    note = f"{what} ({method}); these are its own bytes."
    split = checkpoint_plan(checkpoint).split([tensor.nbytes for tensor in checkpoint.tensors])
    return WeightBytes(STORED, checkpoint.nbytes, _stored_file_bytes(checkpoint), parameters(checkpoint), note, split)


def _stored_file_bytes(checkpoint: Checkpoint) -> int | None:
    """Size of the files, which end where their data ends. None for pickled ones, which are archives."""
    if checkpoint.kind in (SourceKind.TORCH, SourceKind.CONFIG):
        return None
    alignment = GGUF_ALIGNMENT if checkpoint.kind is SourceKind.GGUF else 1
    ends: dict[str, int] = {}
    for tensor in checkpoint.tensors:
        end = -(-(tensor.offset + tensor.nbytes) // alignment) * alignment
        ends[tensor.file] = max(end, ends.get(tensor.file, 0))
    return sum(ends.values())


def _kept_note(assignments: tuple[Assignment, ...]) -> str:
    """Says so where more than half of the weights stay as they are: a precision that hardly changes the size."""
    kept: Counter[str] = Counter()
    total = 0
    for assignment in assignments:
        total += assignment.tensor.numel
        if assignment.scheme is None:
            kept[assignment.why] += assignment.tensor.numel
    if 2 * sum(kept.values()) <= total:
        return ""
    return f"{percent(sum(kept.values()) / total)} of the weights stay as they are. {kept.most_common(1)[0][0]}"
