"""The check of a written GGUF file, in its own process: our strict reader, then llama.cpp itself.

Read back by our own reader, every tensor is where, and as large as, it was planned, and its values, dequantized, are
off from the source by exactly the error that was counted while quantizing. Then llama.cpp loads the file, continues a
text, and cuts texts into the tokens of the source's tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.llama_library import llama_library
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.plan import planned_types
from quantgui.formats.gguf.transform import Rows
from quantgui.jobs.events import Log, Stage, Verification, VerificationStatus
from quantgui.jobs.job import VerifyJob
from quantgui.pipeline import Emit
from quantgui.pipeline.comparison import MSE_TOLERANCE
from quantgui.pipeline.gguf_rows import RowSource
from quantgui.pipeline.llama_check import check_in_llama
from quantgui.pipeline.source import open_source
from quantgui.pipeline.tensor_work import BLOCK_ELEMENTS
from quantgui.quant.gguf_assignment import gguf_order
from quantgui.quant.registry import settings
from quantgui.types import Checkpoint, ErrorStats, UserError

if TYPE_CHECKING:
    import torch


def verify_gguf(job: VerifyJob, emit: Emit) -> Verification:
    """The verdict on the file `job.output`. Raises UserError where it cannot be read at all."""
    source, output = open_source(job.source), open_checkpoint(job.output)
    order = gguf_order(source, job.recipe, settings(job.recipe.base))
    tensors, types = planned_types(source, order.file_type, order.options)
    emit(Stage("Checking in a new process", "Comparing every weight with the source"))
    failures = _misplaced(output, tensors, types) or _wrong_values(job, source, output, tensors)
    if failures:
        return _failed(failures)
    emit(Stage("Checking in a new process", "llama.cpp loads the file"))
    try:
        llama_library()
    except UserError as error:
        return Verification(
            VerificationStatus.NOT_VERIFIED,
            f"All {len(tensors):,} tensors are as counted; not run in llama.cpp: {error.message}",
            tensors_compared=len(tensors),
        )
    found = check_in_llama(Path(job.output), source)
    if found.failures:
        return _failed(found.failures)
    for warning in found.warnings:
        emit(Log(warning, "warning"))
    return Verification(
        VerificationStatus.VERIFIED,
        f"llama.cpp loaded the file in a new process{found.words}, and all {len(tensors):,} tensors are as counted.",
        found.library,
        len(tensors),
    )


def _misplaced(output: Checkpoint, tensors: Sequence[GgufTensor], types: Sequence[str]) -> tuple[str, ...]:
    """Tensors that the file lacks, or holds in another shape or type than planned."""
    planned = {t.name: (t.shape or (1,), kind) for t, kind in zip(tensors, types, strict=True)}
    written = {info.name: (info.shape, info.dtype) for info in output.tensors}
    return tuple(f"{name} is not in the file as planned" for name in planned if written.get(name) != planned[name])


def _wrong_values(
    job: VerifyJob, source: Checkpoint, output: Checkpoint, tensors: Sequence[GgufTensor]
) -> tuple[str, ...]:
    """Tensors whose values are not off from the source by the error that was counted."""
    failures = []
    with TensorData(source) as before, TensorData(output) as after:
        originals, written = RowSource(source, before), RowSource(output, after)
        for tensor in tensors:
            expected = job.errors.get(tensor.name)
            if expected is not None and (failure := _compare(originals.rows(tensor), written.rows(tensor), expected)):
                failures.append(f"{tensor.name} {failure}")
    return tuple(failures)


def _compare(original: Rows, written: Rows, expected: ErrorStats) -> str:
    """What is wrong with a tensor, "" where its largest error and its mean square are the ones counted."""
    largest = squares = 0.0
    count = 0
    second = _Reader(written)
    for _, block in original.blocks(BLOCK_ELEMENTS):
        before = original.values(block)
        error = (before - second.next(len(before))).reshape(-1).double()
        largest = max(largest, float(error.abs().max()))
        squares += float(error.dot(error))
        count += error.numel()
    mean = squares / count if count else 0.0
    if math.isclose(largest, expected.max_abs, rel_tol=1e-6) and math.isclose(
        mean, expected.mse, rel_tol=MSE_TOLERANCE, abs_tol=1e-9 * largest**2
    ):
        return ""
    return (
        f"is off by up to {largest:.6g} (mean square {mean:.6g}) instead of {expected.max_abs:.6g} ({expected.mse:.6g})"
    )


class _Reader:
    """Reads the rows of a tensor one after the other, as many as are asked for."""

    def __init__(self, rows: Rows) -> None:
        import torch

        self._rows, self._blocks = rows, rows.blocks(BLOCK_ELEMENTS)
        self._left = torch.empty(0)

    def next(self, count: int) -> torch.Tensor:
        """The next `count` rows, float32."""
        import torch

        while len(self._left) < count:
            _, block = next(self._blocks)
            values = self._rows.values(block)
            self._left = values if not len(self._left) else torch.cat((self._left, values))
        some, self._left = self._left[:count], self._left[count:]
        return some


def _failed(failures: Sequence[str]) -> Verification:
    return Verification(VerificationStatus.FAILED, f"The check failed: {failures[0]}.", details="\n".join(failures))
