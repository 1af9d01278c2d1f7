"""How a training goes, as part of a run's snapshot: where it stands, how fast it is, and its losses for the plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from quantgui.jobs.events import TrainingStep

MAX_POINTS = 1024
SMOOTHING = 0.9
"""Weight of what came before in the smoothed loss, per point."""


@dataclass(frozen=True, slots=True)
class LossPoint:
    """The mean loss, in nats per token, of the steps since the point before; `step` is the last of them."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class TrainingTrace:
    """Steps done of those asked for. `is_over` once the run has gone on to something else, early or not."""

    step: int
    steps: int
    points: tuple[LossPoint, ...] = ()
    first_step: int = 0  # where this process took it up
    first_at: float = 0.0  # seconds since the start of the run at which that step was done
    seconds_per_step: float | None = None
    is_over: bool = False

    @property
    def fraction(self) -> float:
        """Done part between 0 and 1."""
        return 1.0 if self.is_over else min(1.0, max(0.0, self.step / self.steps)) if self.steps > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time left for the other steps; None before two steps are done."""
        return None if self.seconds_per_step is None else max(0, self.steps - self.step) * self.seconds_per_step


def follow(trace: TrainingTrace | None, event: TrainingStep, elapsed: float) -> TrainingTrace:
    """The trace after one more step, `elapsed` seconds after the run began. A step that is not new changes nothing."""
    if trace is not None and event.step <= trace.step:
        return trace
    points = _added(trace.points if trace is not None else (), event)
    if trace is None or event.replayed:
        return TrainingTrace(event.step, event.steps, points, event.step, elapsed)
    return replace(
        trace,
        step=event.step,
        steps=event.steps,
        points=points,
        seconds_per_step=(elapsed - trace.first_at) / (event.step - trace.first_step),
    )


def smoothed(losses: Sequence[float]) -> list[float]:
    """Exponentially smoothed, each value weighted as if all before the first had been equal to the mean so far."""
    result: list[float] = []
    total = weight = 0.0
    for loss in losses:
        total = SMOOTHING * total + loss
        weight = SMOOTHING * weight + 1
        result.append(total / weight)
    return result


def _added(points: tuple[LossPoint, ...], event: TrainingStep) -> tuple[LossPoint, ...]:
    """With one more point; a long trace is thinned to half by taking means of pairs."""
    if not math.isfinite(event.loss):
        return points
    points = (*points, LossPoint(event.step, event.loss))
    if len(points) <= MAX_POINTS:
        return points
    pairs = zip(points[::2], points[1::2], strict=False)
    return tuple(LossPoint(second.step, (first.loss + second.loss) / 2) for first, second in pairs)
