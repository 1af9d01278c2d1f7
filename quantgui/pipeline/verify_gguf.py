"""The check of a written GGUF file, in its own process: our strict reader, then llama.cpp itself.

Read back by our own reader, every tensor is where, and as large as, it was planned, and its values, dequantized, are
off from the source by exactly the error that was counted while quantizing. Then llama.cpp loads the file, continues a
text, and cuts texts into the tokens of the source's tokenizer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

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
    import torch

    torch.set_num_threads(1)  # blocks are compared in threads of their own
    failures = []
    with (
        TensorData(source) as before,
        TensorData(output) as after,
        ThreadPoolExecutor(psutil.cpu_count(logical=False) or 1) as pool,
    ):
        originals, written = RowSource(source, before), RowSource(output, after)
        for tensor in tensors:
            expected = job.errors.get(tensor.name)
            if expected is None:
                continue
            found = _error(originals.rows(tensor), written.rows(tensor), pool)
            if not _agree(found, expected):
                failures.append(
                    f"{tensor.name} is off by up to {found[0]:.6g} (mean square {found[1]:.6g}) "
                    f"instead of {expected.max_abs:.6g} ({expected.mse:.6g})"
                )
    return tuple(failures)


def _error(original: Rows, written: Rows, pool: Executor) -> tuple[float, float]:
    """The largest error of the written values against the source, and the mean of its square."""

    def one(block: tuple[int, torch.Tensor]) -> tuple[float, float, int]:
        first, stored = block
        before = original.values(stored)
        error = (before - written.slice(first, len(before))).reshape(-1)
        return float(error.abs().max()), float(error.dot(error)), error.numel()

    parts = list(pool.map(one, original.blocks(BLOCK_ELEMENTS)))
    count = sum(part[2] for part in parts)
    return max((part[0] for part in parts), default=0.0), sum(part[1] for part in parts) / max(count, 1)


def _agree(found: tuple[float, float], expected: ErrorStats) -> bool:
    largest, mean = found
    return math.isclose(largest, expected.max_abs, rel_tol=1e-6) and math.isclose(
        mean, expected.mse, rel_tol=MSE_TOLERANCE, abs_tol=1e-9 * largest**2
    )


def _failed(failures: Sequence[str]) -> Verification:
    return Verification(VerificationStatus.FAILED, f"The check failed: {failures[0]}.", details="\n".join(failures))
