"""`fold(state, event, now)`: what is known of a run, as an immutable snapshot that grows by one event at a time.

Window and command line show nothing but these snapshots. With `now` given, a recorded stream of events folds to the
same states whenever it is replayed; without it the monotonic clock is read.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from quantgui.jobs.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Log,
    MemorySample,
    Progress,
    Stage,
    Started,
    TensorDone,
    TextPiece,
    TrainingStep,
)
from quantgui.jobs.job import EvaluateJob, Job
from quantgui.jobs.report_log import ReportLog
from quantgui.jobs.run_record import RunRecord
from quantgui.jobs.training_trace import TrainingTrace, follow
from quantgui.types import TensorReport

MAX_LOG = 500
MAX_TRACE = 1024
_RATE_SECONDS = 4.0  # time constant of the throughput's exponential smoothing
_RATE_STEP = 0.25  # shortest interval that is worth a rate
_TRAINING_SHARE = 0.95  # of a run's progress, where it trains: writing the result takes seconds


class RunStatus(StrEnum):
    """Where a run stands; everything but RUNNING is final."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class MemoryPoint:
    """Memory of the child `seconds` after the start; bytes."""

    seconds: float
    rss_bytes: int
    anonymous_bytes: int | None


@dataclass(frozen=True, slots=True)
class RunState:
    """One run at one moment. Times are seconds since its start, sizes are bytes; None means not known yet."""

    job: Job
    started_at: float = field(default_factory=time.monotonic)  # on the clock that `now` comes from
    status: RunStatus = RunStatus.RUNNING
    stage: str = "Starting"
    stage_detail: str = ""
    tensor: str = ""  # the one at work
    total_bytes: int | None = None
    total_tensors: int | None = None
    done_bytes: int = 0
    bytes_per_second: float | None = None
    elapsed: float = 0.0
    last_message: float = 0.0
    memory: MemorySample | None = None
    peak_anonymous_bytes: int | None = None
    memory_trace: tuple[MemoryPoint, ...] = ()
    reports: ReportLog = field(default_factory=ReportLog)
    text: str = ""  # generated so far
    log: tuple[Log, ...] = ()
    warnings: tuple[str, ...] = ()
    training: TrainingTrace | None = None
    work_started: float | None = None  # when the preflight had passed
    work_ended: float | None = None  # when the last tensor was done
    outcome: Finished | Failed | Cancelled | None = None
    rate_mark: tuple[float, int] = (0.0, 0)  # seconds and bytes where the throughput was last measured

    @property
    def fraction(self) -> float | None:
        """Done part between 0 and 1: of the source bytes, after the steps of a training where there is one."""
        written = min(1.0, self.done_bytes / self.total_bytes) if self.total_bytes else None
        if self.training is None:
            return written
        return _TRAINING_SHARE * self.training.fraction + (1 - _TRAINING_SHARE) * (written or 0.0)

    @property
    def seconds_left(self) -> float | None:
        """Time left at the present throughput, of a training while it is at work."""
        if self.is_training and self.training is not None:
            return self.training.seconds_left
        if not self.total_bytes or not self.bytes_per_second or self.status is not RunStatus.RUNNING:
            return None
        return max(0, self.total_bytes - self.done_bytes) / self.bytes_per_second

    @property
    def is_training(self) -> bool:
        """Whether steps of a training are being done now."""
        return self.training is not None and not self.training.is_over and self.status is RunStatus.RUNNING

    def silent_seconds(self, now: float) -> float:
        """Seconds since the child's last message, 0 after the end."""
        return max(0.0, now - self.started_at - self.last_message) if self.status is RunStatus.RUNNING else 0.0


def fold(state: RunState, event: Event, now: float | None = None) -> RunState:
    """The state after `event`. Never raises; after the terminal event nothing changes any more."""
    if state.outcome is not None:
        return state
    elapsed = max(state.elapsed, (time.monotonic() if now is None else now) - state.started_at)
    state = replace(state, elapsed=elapsed, last_message=elapsed)
    match event:
        case Progress():
            return _progress(state, event)
        case TensorDone():
            return replace(state, reports=state.reports.add(event.report), work_ended=elapsed)
        case TextPiece():
            return replace(state, text=state.text + event.text)
        case TrainingStep():
            return replace(state, training=follow(state.training, event, elapsed))
        case MemorySample():
            return _memory(state, event)
        case Started():
            warnings = state.warnings + event.warnings
            total = max(0, event.total_bytes)
            mark = (elapsed, state.done_bytes)
            state = replace(state, work_started=elapsed, warnings=warnings, rate_mark=mark)
            return replace(state, total_bytes=total, total_tensors=event.total_tensors)
        case Stage():
            return _stage(state, event)
        case Log():
            return _log(state, event)
        case Finished():
            return _finished(state, event)
        case Failed() | Cancelled():
            status = RunStatus.FAILED if isinstance(event, Failed) else RunStatus.CANCELLED
            return replace(state, status=status, outcome=event)


def fold_all(state: RunState, events: Iterable[Event], now: float | None = None) -> RunState:
    """The state after a batch of events that arrived together."""
    for event in events:
        state = fold(state, event, now)
    return state


def state_of_run(record: RunRecord, reports: Iterable[TensorReport]) -> RunState:
    """A run that was read from the disk, as it was when it ended; how its memory went over time is not kept."""
    result = record.result
    state = RunState(
        job=result.job,
        started_at=0.0,
        stage="Finished",
        total_bytes=result.bytes_before,
        warnings=result.warnings,
        reports=ReportLog(tuple(reports)),
        training=record.training,
    )
    state = fold(state, Finished(quantized=result), result.seconds)
    return replace(state, total_tensors=len(state.reports))


def state_of_measurement(record: RunRecord) -> RunState | None:
    """The measurement of a run's quality that its record keeps, as it was when it ended; None where there is none."""
    if record.quality is None:
        return None
    result = record.result
    job = EvaluateJob(result.output, context=record.quality.context, against=result.job.source)
    return fold(RunState(job=job, started_at=0.0), Finished(evaluation=record.quality), record.quality.seconds)


def _stage(state: RunState, event: Stage) -> RunState:
    state = replace(state, stage=event.title, stage_detail=event.detail, tensor="")
    if not state.is_training or state.training is None:
        return state
    # The throughput counts from here on: no byte was read while it trained.
    return replace(state, training=replace(state.training, is_over=True), rate_mark=(state.elapsed, state.done_bytes))


def _progress(state: RunState, event: Progress) -> RunState:
    done = max(state.done_bytes, event.done_bytes)
    if state.total_bytes is not None:
        done = min(done, max(state.total_bytes, state.done_bytes))
    state = replace(state, done_bytes=done, tensor=event.tensor)
    since, before = state.rate_mark
    interval = state.elapsed - since
    if interval < _RATE_STEP:
        return state
    rate = (done - before) / interval
    if state.bytes_per_second is not None:
        weight = 1 - math.exp(-interval / _RATE_SECONDS)
        rate = weight * rate + (1 - weight) * state.bytes_per_second
    return replace(state, bytes_per_second=rate, rate_mark=(state.elapsed, done))


def _memory(state: RunState, sample: MemorySample) -> RunState:
    trace = (*state.memory_trace, MemoryPoint(state.elapsed, sample.rss_bytes, sample.anonymous_bytes))
    if len(trace) > MAX_TRACE:
        trace = tuple(_higher(*pair) for pair in zip(trace[::2], trace[1::2], strict=False))
    peaks = [n for n in (state.peak_anonymous_bytes, sample.anonymous_bytes) if n is not None]
    return replace(state, memory=sample, memory_trace=trace, peak_anonymous_bytes=max(peaks, default=None))


def _higher(first: MemoryPoint, second: MemoryPoint) -> MemoryPoint:
    """One point for two: the peak survives when a long run's trace is thinned out."""
    anonymous = [n for n in (first.anonymous_bytes, second.anonymous_bytes) if n is not None]
    return MemoryPoint(second.seconds, max(first.rss_bytes, second.rss_bytes), max(anonymous, default=None))


def _log(state: RunState, event: Log) -> RunState:
    warnings = (*state.warnings, event.text)[:MAX_LOG] if event.level == "warning" else state.warnings
    return replace(state, log=(*state.log, event)[-MAX_LOG:], warnings=warnings)


def _finished(state: RunState, event: Finished) -> RunState:
    done = state.done_bytes if state.total_bytes is None else max(state.done_bytes, state.total_bytes)
    result = event.quantized
    peaks = [n for n in (state.peak_anonymous_bytes, result and result.peak_anonymous_bytes) if n is not None]
    return replace(
        state,
        status=RunStatus.FINISHED,
        outcome=event,
        done_bytes=done,
        tensor="",
        peak_anonymous_bytes=max(peaks, default=None),
    )
