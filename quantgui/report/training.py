"""The loss of a training as a figure: each step's own, which jumps, and the smoothed one, which tells."""

from __future__ import annotations

from collections.abc import Callable

from quantgui import units
from quantgui.jobs.training_trace import TrainingTrace, smoothed
from quantgui.report import svg
from quantgui.report.markup import Html, join

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 38
Place = Callable[[int, float], tuple[float, float]]
MARGIN = 0.08
"""Room above and below the curve, as a part of its height."""


def loss_figure(training: TrainingTrace) -> Html | None:
    """Both curves over the steps that were asked for; None below two points."""
    points = training.points
    if len(points) < 2:
        return None
    losses = [point.loss for point in points]
    room = (max(losses) - min(losses) or abs(losses[0]) or 1.0) * MARGIN
    low, high = min(losses) - room, max(losses) + room
    last = max(training.steps, points[-1].step)

    def place(step: int, loss: float) -> tuple[float, float]:
        across, up = step / last, (loss - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    each = [place(point.step, point.loss) for point in points]
    smooth = [place(p.step, loss) for p, loss in zip(points, smoothed(losses), strict=True)]
    label = f"Loss of the training, from {units.digits(losses[0], 3)} to {units.digits(smoothed(losses)[-1], 3)}"
    return svg.figure(
        WIDTH,
        HEIGHT,
        f"{label} nats per token",
        svg.path(each, class_="outline each"),
        svg.path(smooth, class_="outline after"),
        _axes(low + room, high - room, last, place),
    )


def training_words(training: TrainingTrace) -> str:
    """ "300 of 300 steps; loss 0.021 nats per token, at first 0.043, smoothed"."""
    losses = [point.loss for point in training.points]
    steps = f"{units.count(training.step)} of {units.count(training.steps)} steps"
    if not losses:
        return steps
    last, first = units.digits(smoothed(losses)[-1], 3), units.digits(losses[0], 3)
    return f"{steps}; the smoothed loss ended at {last} nats per token, the first step's was {first}"


def _axes(low: float, high: float, last: int, place: Place) -> Html:
    base = HEIGHT - BOTTOM
    return join(
        svg.line(LEFT, base, WIDTH - RIGHT, base, class_="base"),
        *(
            svg.text(LEFT - 8, place(0, v)[1] + 4, units.digits(v, 3), text_anchor="end", class_="axis")
            for v in (low, high)
        ),
        svg.text(LEFT, base + 16, "0", class_="axis"),
        svg.text(WIDTH - RIGHT, base + 16, units.count(last), text_anchor="end", class_="axis"),
        svg.text(WIDTH / 2, base + 30, "step (loss in nats per token)", text_anchor="middle", class_="axis"),
    )
