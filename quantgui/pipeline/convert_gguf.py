"""A GGUF file in one pass: preflight, stream every tensor through its kernel, check in a new process, rename.

The record of the run lies in a folder beside the file, `FILE.gguf.quantgui`: it is what is left of the folder in which
the file was written, and nothing is lost for llama.cpp when it is deleted.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.plan import GgufPlan, plan_gguf
from quantgui.formats.shard_writer import ShardWriter
from quantgui.inspection.kernel import prepare as prepare_statistics
from quantgui.jobs.events import QuantizeResult, Stage, Started, TensorDone
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RECORD_NAME, RunRecord, record_folder, write_run
from quantgui.pipeline import Emit
from quantgui.pipeline.gguf_importance import kernel_counts, open_importance
from quantgui.pipeline.gguf_preflight import check_gguf, check_source
from quantgui.pipeline.gguf_rows import RowSource
from quantgui.pipeline.gguf_tensor import write_gguf_tensor
from quantgui.pipeline.partial_folder import partial_folder
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.run_facts import checksums, sync_folder, versions
from quantgui.pipeline.source import open_source
from quantgui.pipeline.verification import verify
from quantgui.quant.gguf_assignment import assign_gguf, gguf_order
from quantgui.quant.registry import settings
from quantgui.schemes.assignment import Assignment
from quantgui.types import Checkpoint, TensorReport, UserError

if TYPE_CHECKING:
    import numpy as np

LIBRARIES = ("torch", "numpy", "xllamacpp", "numba", "gguf")


def convert(job: QuantizeJob, emit: Emit) -> QuantizeResult:
    """Runs the job; the file appears under its name only when it is complete and checked.

    Raises UserError for whatever a person can act on, OSError from the disk. Nothing is left behind either way.
    """
    started = time.monotonic()
    emit(Stage("Reading the model"))
    checkpoint = open_source(job.source)
    check_source(job, checkpoint)
    order = gguf_order(checkpoint, job.recipe, settings(job.recipe.base))
    matrix = open_importance(order.imatrix)
    noted = matrix.keys(Path(order.imatrix).name) if matrix is not None else ()
    plan = plan_gguf(checkpoint, order.file_type, order.options, Path(job.target).name, noted)
    assignments = assign_gguf(checkpoint, order)
    warnings = check_gguf(job, checkpoint, plan, assignments, matrix)
    _check_place(job)
    emit(Started(job.id, sum(a.tensor.nbytes for a in assignments), len(assignments), warnings))
    with partial_folder(job) as partial:
        teller = ProgressTeller(emit)
        teller.sample_memory()  # the base after imports, before any weight is read
        emit(Stage("Quantizing"))
        importance = matrix.values(plan.tensors) if matrix is not None else {}
        reports = _write_tensors(job, checkpoint, plan, assignments, importance, teller, emit)
        verification = verify(job, checkpoint, reports, emit, partial / plan.file.name)
        emit(Stage("Computing checksums"))
        result = QuantizeResult(
            job=job,
            output=job.output,
            bytes_before=sum(a.tensor.nbytes for a in assignments),
            bytes_after=sum(a.nbytes for a in assignments),
            file_bytes=plan.file.nbytes,
            parameters=sum(a.tensor.numel for a in assignments),
            seconds=time.monotonic() - started,
            peak_anonymous_bytes=teller.peak_anonymous,
            verification=verification,
            warnings=warnings,
        )
        write_run(partial, RunRecord(result, versions(LIBRARIES), checksums(partial)), reports)
        _publish(job)
    return result


def _write_tensors(
    job: QuantizeJob,
    checkpoint: Checkpoint,
    plan: GgufPlan,
    assignments: Sequence[Assignment],
    importance: Mapping[str, np.ndarray],
    teller: ProgressTeller,
    emit: Emit,
) -> list[TensorReport]:
    """Streams every tensor into the file, in the file's order; returns the reports."""
    import torch

    from quantgui.formats.gguf.kernels import prepare

    for weighted in (False, True):
        prepare(kernel_counts(plan, importance, weighted), weighted=weighted)
    prepare_statistics(sum(assignment.tensor.numel for assignment in assignments))
    torch.set_num_threads(1)  # blocks run in threads of their own; torch's inner threads would only wait for each other
    workers = job.threads or psutil.cpu_count(logical=False) or 1
    writer = ShardWriter(Path(job.partial_output), plan.file)
    reports = []
    try:
        with TensorData(checkpoint) as data, ThreadPoolExecutor(workers) as pool:
            source = RowSource(checkpoint, data)
            for tensor, assignment, place in zip(plan.tensors, assignments, plan.file.tensors, strict=True):

                def advance(nbytes: int, name: str = tensor.name) -> None:
                    teller.add(nbytes, name)

                rows, weights = source.rows(tensor), importance.get(tensor.name)
                report = write_gguf_tensor(assignment, rows, weights, pool, writer.write, advance)
                report = replace(report, offset=len(plan.file.header) + place.offset)
                reports.append(report)
                emit(TensorDone(report))
            teller.finish("")
        writer.close()
    finally:
        writer.abandon()
    return reports


def _check_place(job: QuantizeJob) -> None:
    """Raises UserError where a file or folder that is not ours has one of the two names: asked before and after."""
    target = Path(job.target)
    record = record_folder(target)
    ours = (record / RECORD_NAME).is_file()
    for path in (target, record):
        if os.path.lexists(path) and not (ours and (path == record or job.overwrite)):
            raise UserError(f"{path.name} already exists.", hint="Choose another output file.")


def _publish(job: QuantizeJob) -> None:
    """Gives the finished file its name; the folder it was written in becomes the folder of its record."""
    _check_place(job)
    partial, target = Path(job.partial_output), Path(job.target)
    record = record_folder(target)
    if record.exists():
        shutil.rmtree(record)
    (partial / target.name).replace(target)
    partial.rename(record)
    sync_folder(target.parent)
