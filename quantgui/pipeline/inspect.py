"""Statistics of a checkpoint's tensors, alone or against the original it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil

from quantgui.checkpoint.tensor_data import TensorData, row_blocks
from quantgui.formats.plain import FLOAT_DTYPES
from quantgui.inspection.accumulator import NotFiniteError, TensorStatistics
from quantgui.inspection.kernel import prepare as prepare_statistics
from quantgui.jobs.events import Started, TensorDone
from quantgui.jobs.job import InspectJob
from quantgui.jobs.run_record import RECORD_NAME, read_record
from quantgui.pipeline import Emit
from quantgui.pipeline.inspect_gguf import FilePair, FileReporter, file_pairs
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.source import open_source
from quantgui.pipeline.tensor_work import BLOCK_ELEMENTS, NOT_FINITE, measure_range, report_of
from quantgui.quant.assignment import assign
from quantgui.quant.registry import arithmetic
from quantgui.schemes.assignment import Assignment
from quantgui.types import Checkpoint, SourceKind, TensorInfo, TensorReport, UserError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Pair:
    """A tensor of the original (or of the only model), and what became of it (None where there is nothing else)."""

    assignment: Assignment
    after: Mapping[str, TensorInfo] | None = None  # stored parts by suffix


P = TypeVar("P", Pair, FilePair)


def inspect(job: InspectJob, emit: Emit) -> None:
    """Emits one TensorDone per tensor. Raises UserError for unknown tensors or checkpoints that do not match.

    Of a folder and a GGUF file the file is what was made, whichever of the two the job calls the original.
    """
    model = open_source(job.source)
    original = open_source(job.against) if job.against else None
    if original is not None and original.kind is SourceKind.GGUF and model.kind is not SourceKind.GGUF:
        model, original = original, model
    with ExitStack() as stack:
        data = stack.enter_context(TensorData(model))
        before = stack.enter_context(TensorData(original)) if original else None
        if original is not None:
            prepare_statistics(original.parameters)
        if model.kind is SourceKind.GGUF:
            pool = stack.enter_context(ThreadPoolExecutor(psutil.cpu_count(logical=False) or 1))
            _report_all(job, model, file_pairs(model, original), FileReporter(data, before, pool).report, emit)
            return
        pool = stack.enter_context(ThreadPoolExecutor(1))

        def report(pair: Pair) -> TensorReport:
            return _report(pair, before or data, data if before else None, pool)

        _report_all(job, model, _pairs(model, original), report, emit)


def _report_all(
    job: InspectJob, model: Checkpoint, pairs: Iterable[P], report: Callable[[P], TensorReport], emit: Emit
) -> None:
    """Reports the tensors that the job is about."""
    chosen = [pair for pair in pairs if not job.tensor or pair.assignment.tensor.name == job.tensor]
    if job.tensor and not chosen:
        raise UserError(f"“{model.name}” has no tensor called {job.tensor}.", hint="“inspect MODEL” lists all names.")
    emit(Started(job.id, sum(pair.assignment.tensor.nbytes for pair in chosen), len(chosen)))
    teller = ProgressTeller(emit)
    for pair in chosen:
        emit(TensorDone(report(pair)))
        teller.add(pair.assignment.tensor.nbytes, pair.assignment.tensor.name)
    teller.finish("")


def _pairs(model: Checkpoint, original: Checkpoint | None) -> Iterator[Pair]:
    """Pairs by the recipe in the model's run record where it is ours, by equal names otherwise."""
    if original is None:
        for tensor in model.tensors:
            yield Pair(Assignment(tensor, None))
        return
    stored = {t.name: t for t in model.tensors}
    found = False
    for assignment in _assignments(model, original):
        parts = {p.suffix: p.name_for(assignment.tensor.name) for p in assignment.parts()}
        if all(name in stored for name in parts.values()):
            found = True
            yield Pair(assignment, {suffix: stored[name] for suffix, name in parts.items()})
    if not found:
        raise UserError(
            f"“{model.name}” and “{original.name}” have no tensors in common.",
            hint="Compare a checkpoint with the one it was made from.",
        )


def _assignments(model: Checkpoint, original: Checkpoint) -> tuple[Assignment, ...]:
    if (Path(model.path) / RECORD_NAME).is_file():
        return assign(original, read_record(model.path).result.job.recipe)
    return tuple(Assignment(tensor, None) for tensor in original.tensors)


def _report(pair: Pair, before: TensorData, after: TensorData | None, pool: ThreadPoolExecutor) -> TensorReport:
    assignment = pair.assignment
    info = assignment.tensor
    if info.dtype not in FLOAT_DTYPES or not info.numel:
        return report_of(assignment, None)
    tensor = before.tensor(info)
    try:
        statistics = TensorStatistics(measure_range(tensor, info.name, pool))
        dequantized = _dequantized(pair, after)
        if dequantized is not None:
            measure_range(dequantized, info.name, pool)
    except NotFiniteError:
        return report_of(replace(assignment, why=NOT_FINITE), None)
    if dequantized is not None and dequantized.numel() != tensor.numel():
        raise UserError(f"The tensor {info.name} has another shape in the two checkpoints.")
    rows_after = row_blocks(dequantized.view(info.shape), BLOCK_ELEMENTS) if dequantized is not None else None
    for _, rows in row_blocks(tensor, BLOCK_ELEMENTS):
        if rows_after is None:
            statistics.add_original(rows.float())
        else:
            statistics.add_pair(rows.float(), next(rows_after)[1].float())
    return report_of(assignment, statistics, compared=dequantized is not None)


def _dequantized(pair: Pair, after: TensorData | None) -> torch.Tensor | None:
    """The weight as the second checkpoint stores it, dequantized; None where nothing comparable is stored."""
    if after is None or pair.after is None:
        return None
    parts = {suffix: after.tensor(info) for suffix, info in pair.after.items()}
    scheme = pair.assignment.scheme
    if scheme is None:
        return parts[""] if parts[""].is_floating_point() else None
    return arithmetic(scheme).dequantize(scheme.storage.decode(scheme, parts, pair.assignment.tensor.shape))
