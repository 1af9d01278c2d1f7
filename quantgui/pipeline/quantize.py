"""The quantization run: preflight, stream every tensor, write beside the target, check in a new process, rename."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.folder import write_folder
from quantgui.formats.planning import PlannedFile, plan_files
from quantgui.formats.shard_writer import ShardWriter
from quantgui.inspection.kernel import prepare as prepare_statistics
from quantgui.jobs.events import Log, QuantizeResult, Stage, Started, TensorDone
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RunRecord, write_run
from quantgui.pipeline import Emit
from quantgui.pipeline.calibrated import prepare_calibration
from quantgui.pipeline.device import Fallback, choose_device
from quantgui.pipeline.partial_folder import partial_folder
from quantgui.pipeline.preflight import check
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.run_facts import Told, checksums, sync_folder, versions
from quantgui.pipeline.simulation import SIMULATION_NAME
from quantgui.pipeline.source import open_source, source_folder
from quantgui.pipeline.tensor_work import keep_tensor, quantize_tensor
from quantgui.pipeline.train_quantized import prepare_training
from quantgui.pipeline.verification import verify
from quantgui.quant.assignment import assign
from quantgui.schemes.assignment import Assignment
from quantgui.types import Checkpoint, TensorReport, UserError

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "transformers", "compressed-tensors", "gptqmodel", "optimum-quanto", "safetensors", "numpy")


def quantize(job: QuantizeJob, emit: Emit) -> QuantizeResult:
    """Runs the job; the output folder appears under its name only when it is complete and checked.

    Raises UserError for whatever a person can act on, OSError from the disk. Nothing is left behind either way.
    """
    started = time.monotonic()
    emit = told = Told(emit)
    emit(Stage("Reading the model"))
    checkpoint = open_source(job.source)
    assignments = assign(checkpoint, job.recipe)
    files = plan_files(assignments)
    warnings = check(job, checkpoint, assignments, sum(f.nbytes for f in files))
    place = Fallback(choose_device(job.device), emit)
    training = prepare_training(job, checkpoint, assignments)
    calibration = prepare_calibration(job, checkpoint, assignments)
    warnings += calibration.warnings if calibration is not None else ()
    emit(Started(job.id, checkpoint.nbytes, len(assignments), warnings))
    with partial_folder(job) as partial:
        teller = ProgressTeller(emit)
        teller.sample_memory()  # the base after imports, before any weight is read
        trained = training.run(teller, emit) if training is not None else {}
        emit(Stage("Quantizing"))
        if calibration is not None:
            reports = calibration.write(files, partial, place, trained, teller, emit)
        else:
            reports = _write_weights(job, checkpoint, assignments, files, place, partial, teller, emit, trained)
        emit(Stage("Writing config and tokenizer"))
        for left_out in write_folder(source_folder(checkpoint), partial, checkpoint, assignments, files):
            emit(Log(left_out, "warning"))
        verification = verify(job, checkpoint, reports, emit)
        (partial / SIMULATION_NAME).unlink(missing_ok=True)
        emit(Stage("Computing checksums"))
        result = QuantizeResult(
            job=job,
            output=job.output,
            bytes_before=checkpoint.nbytes,
            bytes_after=sum(a.nbytes for a in assignments),
            file_bytes=sum(f.nbytes for f in files),
            parameters=checkpoint.parameters,
            seconds=time.monotonic() - started,
            peak_anonymous_bytes=teller.peak_anonymous,
            verification=verification,
            warnings=(*warnings, *told.warnings),
        )
        record = RunRecord(result, versions(LIBRARIES), checksums(partial), training=told.training)
        write_run(partial, record, reports)
        _publish(job)
    if training is not None:
        training.forget()
    return result


def _write_weights(
    job: QuantizeJob,
    checkpoint: Checkpoint,
    assignments: Sequence[Assignment],
    files: Sequence[PlannedFile],
    place: Fallback,
    partial: Path,
    teller: ProgressTeller,
    emit: Emit,
    trained: Mapping[str, torch.Tensor],
) -> list[TensorReport]:
    """Streams every tensor into its planned file, shard by shard; returns the reports in order.

    `trained` weights, by tensor name, are quantized in the place of the source's.
    """
    import torch

    torch.set_num_threads(1)  # blocks run in threads of their own; torch's inner threads would only wait for each other
    on_cpu = place.device.type == "cpu"
    workers = (job.threads or psutil.cpu_count(logical=False) or 1) if on_cpu else 1
    if on_cpu:
        prepare_statistics(sum(a.tensor.numel for a in assignments if a.scheme is not None))
    by_file: dict[str, list[Assignment]] = {}
    for assignment in assignments:
        by_file.setdefault(assignment.tensor.file, []).append(assignment)
    reports = []
    with TensorData(checkpoint) as data, ThreadPoolExecutor(workers) as pool:
        for plan, some in zip(files, by_file.values(), strict=True):
            writer = ShardWriter(partial, plan)
            try:
                for assignment in some:
                    tensor = data.tensor(assignment.tensor)
                    weights = trained.get(assignment.tensor.name)
                    report = _one_tensor(assignment, tensor, weights, place, pool, writer, teller)
                    reports.append(report)
                    emit(TensorDone(report))
                writer.close()
            finally:
                writer.abandon()
            data.release(some[0].tensor.file)
        teller.finish("")
    return reports


def _one_tensor(
    assignment: Assignment,
    tensor: torch.Tensor,
    weights: torch.Tensor | None,
    place: Fallback,
    pool: Executor,
    writer: ShardWriter,
    teller: ProgressTeller,
) -> TensorReport:
    name = assignment.tensor.name

    def advance(nbytes: int) -> None:
        teller.add(nbytes, name)

    if assignment.scheme is None or tensor.numel() == 0:
        return keep_tensor(assignment, tensor, pool, writer.write, advance)
    return place.run(
        lambda: quantize_tensor(assignment, tensor, place.device, pool, writer.write, advance, weights),
        where=lambda: f"at {name}",
        move=lambda: teller.forget(name),
    )


def _publish(job: QuantizeJob) -> None:
    """Gives the finished folder its name. What was there before is removed only after the new one is in place."""
    partial, output, old = Path(job.partial_output), Path(job.target), Path(job.replaced_output)
    replaces = output.exists() and any(output.iterdir())
    if replaces and not job.overwrite:  # somebody has put it there since the preflight
        raise UserError(f"{output} already exists and is not empty.", hint="Choose another output folder.")
    if replaces:
        output.rename(old)
    elif output.exists():
        output.rmdir()
    try:
        partial.rename(output)
    except OSError:
        if replaces:
            old.rename(output)
        raise
    sync_folder(output.parent)
    if replaces:
        shutil.rmtree(old, ignore_errors=True)
