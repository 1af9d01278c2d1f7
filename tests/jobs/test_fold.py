from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

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
    TrainingStep,
)
from quantgui.jobs.fold import (
    MAX_LOG,
    MAX_TRACE,
    RunState,
    RunStatus,
    fold,
    fold_all,
    state_of_measurement,
    state_of_run,
)
from quantgui.jobs.job import EvaluateJob
from tests.jobs import samples

sizes = st.integers(-10, 2**62)
names = st.sampled_from(["a", "b", "c", "d"])
terminals = st.sampled_from([Finished(), Failed("no"), Cancelled()])
others = st.one_of(
    st.builds(Started, st.just("x"), sizes, sizes, st.just(("careful",))),
    st.builds(Stage, st.text(max_size=3)),
    st.builds(Progress, sizes, names),
    st.builds(TensorDone, st.builds(samples.report, names)),
    st.builds(MemorySample, sizes, st.none() | sizes),
    st.builds(TrainingStep, sizes, sizes, st.floats(), st.just(1e-4)),
    st.builds(Log, st.text(max_size=3), st.sampled_from(["info", "warning"])),
)
timed = st.lists(st.tuples(others | terminals, st.floats(0, 1e6)), max_size=30)


def fresh() -> RunState:
    return RunState(samples.job(), started_at=0.0)


@settings(deadline=None)
@given(timed)
def test_any_order_of_events_folds_and_progress_never_goes_back(tape: list[tuple[Event, float]]) -> None:
    state = fresh()
    for event, now in tape:
        following = fold(state, event, now)
        assert following.done_bytes >= state.done_bytes
        assert following.elapsed >= state.elapsed
        assert following.peak_anonymous_bytes is None or following.peak_anonymous_bytes >= (
            state.peak_anonymous_bytes or -10
        )
        assert following.seconds_left is None or following.seconds_left >= 0
        assert following.fraction is None or 0 <= following.fraction <= 1
        assert set(following.reports) >= set(state.reports)
        assert (following.outcome is None) == (following.status is RunStatus.RUNNING)
        state = following


@settings(deadline=None)
@given(timed, terminals, timed)
def test_the_first_end_is_the_only_one(
    before: list[tuple[Event, float]], end: Event, after: list[tuple[Event, float]]
) -> None:
    state = fold(fold_all(fresh(), (event for event, _ in before), 1.0), end, 2.0)
    assert state.outcome is not None
    assert fold_all(state, (event for event, _ in after), 3.0) is state


def test_throughput_and_time_left_settle_on_a_steady_rate() -> None:
    state = fold(fresh(), Started("x", 10_000, 1), 0.0)
    for second in range(1, 31):
        state = fold(state, Progress(100 * second), float(second))
    assert state.bytes_per_second is not None and abs(state.bytes_per_second - 100) < 1e-6
    assert state.seconds_left is not None and abs(state.seconds_left - 70) < 1e-6


def test_a_training_counts_first_and_tells_its_own_time_left() -> None:
    state = fold_all(fresh(), [Started("x", 100, 1), Stage("Training")], 5.0)
    for step in range(1, 6):
        state = fold(state, TrainingStep(step, 10, 2.0 - 0.1 * step, 1e-4), 10.0 + 2 * step)
    assert state.is_training and state.training is not None
    assert (state.seconds_left, state.fraction) == (10.0, 0.95 * 0.5)
    state = fold(state, Stage("Quantizing"), 30.0)  # stopped early
    assert not state.is_training and state.fraction == 0.95
    state = fold(state, Progress(50), 31.0)
    assert (state.bytes_per_second, state.seconds_left) == (50.0, 1.0)


def test_finishing_completes_the_progress() -> None:
    state = fold_all(fresh(), [Started("x", 100, 1), Progress(40), Finished()], 1.0)
    assert (state.fraction, state.status, state.seconds_left) == (1.0, RunStatus.FINISHED, None)


def test_silence_is_measured_while_running_only() -> None:
    state = fold(fresh(), Stage("Quantizing"), 10.0)
    assert state.silent_seconds(25.0) == 15.0
    assert fold(state, Cancelled(), 12.0).silent_seconds(25.0) == 0.0


def test_log_and_memory_trace_are_bounded_and_keep_the_peak() -> None:
    state = fresh()
    for n in range(3 * MAX_TRACE):
        state = fold(state, MemorySample(n if n != 777 else 10**9, n), float(n))
        state = fold(state, Log(str(n)), float(n))
    assert len(state.memory_trace) <= MAX_TRACE
    assert max(point.rss_bytes for point in state.memory_trace) == 10**9
    assert len(state.log) == MAX_LOG
    assert state.log[-1].text == str(3 * MAX_TRACE - 1)


def test_a_run_from_the_disk_is_shown_as_it_ended() -> None:
    record = replace(samples.record(), training=samples.training())
    state = state_of_run(record, [samples.report("a"), samples.report("b")])
    assert state.outcome == Finished(quantized=record.result)
    assert (state.fraction, list(state.reports), state.elapsed) == (1.0, ["a", "b"], record.result.seconds)
    assert state.peak_anonymous_bytes == record.result.peak_anonymous_bytes
    assert state.training == record.training and not state.is_training


def test_a_measurement_from_the_disk_is_about_the_run_that_keeps_it() -> None:
    assert state_of_measurement(samples.record()) is None
    record = replace(samples.record(), quality=samples.quality())
    state = state_of_measurement(record)
    assert state is not None and state.outcome == Finished(evaluation=samples.quality())
    assert isinstance(state.job, EvaluateJob)
    assert (state.job.source, state.job.against) == (record.result.output, record.result.job.source)
