"""The importance matrix of a run: read, and compared with the planned tensors before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.formats.gguf.imatrix import ImportanceMatrix, fits, read_imatrix
from quantgui.formats.gguf.plan import GgufPlan
from quantgui.formats.gguf.type_plan import needs_importance
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import UserError

if TYPE_CHECKING:
    import numpy as np

OTHER_MODEL = "It was made for another model. Compute one for this model."


def open_importance(path: str) -> ImportanceMatrix | None:
    """The matrix in a file, None for "". Raises UserError where the file is none."""
    return read_imatrix(Path(path)) if path else None


def check_importance(plan: GgufPlan, matrix: ImportanceMatrix) -> tuple[str, ...]:
    """A warning where quantized tensors have no entry.

    Raises UserError where an entry does not fit its tensor, and where a tensor's type cannot do without one.
    """
    missing = 0
    for tensor, kind in zip(plan.tensors, plan.types, strict=True):
        entry = matrix.entries.get(tensor.name)
        if entry is not None and not fits(entry.sums.shape, tensor):
            raise UserError(f"The importance matrix does not fit the tensor {tensor.name}.", hint=OTHER_MODEL)
        if entry is None and needs_importance(tensor.name, kind, plan.file_type):
            raise UserError(
                f"The importance matrix has no entry for {tensor.name}, and {kind} needs one.",
                hint="If it is this model's, choose a type of more bits, or give such tensors one by a rule.",
            )
        missing += entry is None and BY_NAME[kind].is_quantized and tensor.name.startswith("blk.")
    tensors = "1 tensor" if missing == 1 else f"{missing:,} tensors"
    return (f"The importance matrix says nothing about {tensors}; their weights count alike.",) if missing else ()


def kernel_counts(plan: GgufPlan, importance: Mapping[str, np.ndarray], weighted: bool) -> dict[str, int]:
    """Weights per type, of tensors that have an importance (`weighted`) or of those that have none."""
    counts: dict[str, int] = {}
    for tensor, kind, place in zip(plan.tensors, plan.types, plan.file.tensors, strict=True):
        if (tensor.name in importance) is weighted:
            blocks = place.nbytes // BY_NAME[kind].block_bytes
            counts[kind] = counts.get(kind, 0) + blocks * BY_NAME[kind].block_elements
    return counts
