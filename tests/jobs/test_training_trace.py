from __future__ import annotations

import math

import pytest

from quantgui.jobs.events import TrainingStep
from quantgui.jobs.training_trace import MAX_POINTS, TrainingTrace, follow


def followed(losses: list[float], first: int = 1) -> TrainingTrace:
    trace = None
    for step, loss in enumerate(losses, first):
        trace = follow(trace, TrainingStep(step, len(losses), loss, 1e-4), float(step))
    assert trace is not None
    return trace


def test_a_long_trace_is_thinned_by_means() -> None:
    count = 4 * MAX_POINTS
    trace = followed([float(step % 2) for step in range(count)])
    assert len(trace.points) <= MAX_POINTS
    assert trace.points[-1].step == count
    assert all(point.loss == pytest.approx(0.5) for point in trace.points[: len(trace.points) // 2])


def test_the_rate_counts_from_the_step_at_which_it_was_taken_up() -> None:
    trace = None
    for step in range(1, 101):
        trace = follow(trace, TrainingStep(step, 200, 1.0, 0.0, replayed=True), 50.0)
    for step, at in ((101, 53.0), (102, 56.0), (103, 59.0)):
        trace = follow(trace, TrainingStep(step, 200, 1.0, 1e-4), at)
    assert trace is not None
    assert (trace.seconds_per_step, trace.seconds_left) == (3.0, 97 * 3.0)


def test_a_loss_that_is_no_number_is_not_drawn() -> None:
    assert [point.step for point in followed([1.0, math.nan, 0.5]).points] == [1, 3]
