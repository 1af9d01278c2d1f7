"""Precisions that other tools write: estimated for comparison, in the program their files are made for."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.fit import packed_sizes
from quantgui.fit.packed_sizes import Packing
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.fit.published_weights import HEADER_BYTES, MATRICES, packed_or_kept
from quantgui.fit.weight_split import checkpoint_plan
from quantgui.fit.weights import WeightBytes, is_quantized, parameters
from quantgui.types import Checkpoint, Runtime


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """One precision by its packing. `everywhere` also packs embeddings, head and routers, as MLX does."""

    id: str
    runtime: Runtime
    packing: Packing
    everywhere: bool = False
    note: str = ""


REFERENCE_ROWS: tuple[ReferenceRow, ...] = (
    ReferenceRow("NVFP4", Runtime.VLLM, packed_sizes.NVFP4, note="Made for NVIDIA GPUs since Blackwell."),
    ReferenceRow("MXFP4", Runtime.VLLM, packed_sizes.MXFP4, note="gpt-oss is published like this, its experts alone."),
    *(ReferenceRow(f"MLX-{bits}", Runtime.MLX, packed_sizes.mlx(bits), everywhere=True) for bits in (8, 6, 5, 4, 3, 2)),
)
"""By runtime, the most bits first."""
NOTE = "Estimated for comparison; QuantGUI does not write it."


def reference_weights(checkpoint: Checkpoint, runtime: Runtime) -> tuple[WeightBytes, ...]:
    """The rows of one runtime; none for a model that is quantized already."""
    return tuple(weights for row, weights in _all_rows(checkpoint) if row.runtime is runtime)


@per_checkpoint
def _all_rows(checkpoint: Checkpoint) -> tuple[tuple[ReferenceRow, WeightBytes], ...]:
    if is_quantized(checkpoint):
        return ()
    return tuple((row, _weights(checkpoint, row)) for row in REFERENCE_ROWS)


def _weights(checkpoint: Checkpoint, row: ReferenceRow) -> WeightBytes:
    sizes = [packed_or_kept(tensor, row.packing, MATRICES, row.everywhere) for tensor in checkpoint.tensors]
    return WeightBytes(
        scheme_id=row.id,
        nbytes=sum(sizes),
        file_bytes=sum(sizes) + 3 * HEADER_BYTES * len(sizes),
        parameters=parameters(checkpoint),
        note=f"{NOTE} {row.note}".strip(),
        split=checkpoint_plan(checkpoint).split(sizes),
    )
