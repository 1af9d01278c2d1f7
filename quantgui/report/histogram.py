"""Distribution of one tensor's weights before and after, and of its error, as two small figures."""

from __future__ import annotations

import math
from collections.abc import Sequence

from quantgui import units
from quantgui.report import svg
from quantgui.report.markup import Html, join, tag
from quantgui.types import Histogram, TensorReport

WIDTH, HEIGHT = 460, 190
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 10, 34
MAX_BINS = 128


def weights_figure(report: TensorReport) -> Html | None:
    """Weights before (filled) and after (outline) with the levels as ticks; None without a histogram."""
    if report.before is None:
        return None
    histograms = [h for h in (report.before, report.after) if h is not None]
    scale = _LogScale(max(max(merge(h.counts), default=0) for h in histograms))
    drawn = [_filled(report.before, scale, "before")]
    if report.after is not None:
        drawn.append(_outline(report.after, scale, "after"))
    span = report.before
    ticks = [_level(level, span) for level in report.levels if span.low <= level <= span.high]
    label = f"Weights of {report.short_name} before and after, {span.low:.3g} to {span.high:.3g}"
    return svg.figure(WIDTH, HEIGHT, label, *drawn, *ticks, _axis(span, "weight (log count)"))


def error_figure(report: TensorReport) -> Html | None:
    """The error W - Ŵ with the band of half a step to either side; None without one."""
    span = report.difference
    if span is None or not any(span.counts):
        return None
    scale = _LogScale(max(merge(span.counts)))
    band: list[Html] = []
    if report.step is not None and span.high > span.low:
        left, right = (_x(edge, span) for edge in (-report.step / 2, report.step / 2))
        left, right = max(left, LEFT), min(right, WIDTH - RIGHT)
        tip = tag("title", f"± half a step, {units.scientific(report.step / 2)}")
        band.append(svg.rect(left, TOP, max(right - left, 0), HEIGHT - TOP - BOTTOM, tip, class_="band"))
    label = f"Error of {report.short_name}, {span.low:.3g} to {span.high:.3g}"
    title = "error W − Ŵ (log count), band: ± half a step" if band else "error W − Ŵ (log count)"
    return svg.figure(WIDTH, HEIGHT, label, *band, _filled(span, scale, "error"), _axis(span, title))


def merge(counts: Sequence[int]) -> list[int]:
    """At most `MAX_BINS` bins by taking the largest of neighbours: a mean would hide outliers."""
    size = math.ceil(len(counts) / MAX_BINS) or 1
    return [max(counts[start : start + size]) for start in range(0, len(counts), size)]


class _LogScale:
    """Counts to pixels: 0 stands on the axis, 1 is visible, the largest count fills the height."""

    def __init__(self, largest: int) -> None:
        self._top = math.log10(max(largest, 1)) + 1

    def __call__(self, count: int) -> float:
        height = 0.0 if count <= 0 else (math.log10(count) + 1) / self._top
        return HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)


def _x(value: float, span: Histogram) -> float:
    fraction = (value - span.low) / (span.high - span.low) if span.high > span.low else 0.5
    return LEFT + fraction * (WIDTH - LEFT - RIGHT)


def _steps(histogram: Histogram, scale: _LogScale) -> list[tuple[float, float]]:
    counts = merge(histogram.counts)
    width = (WIDTH - LEFT - RIGHT) / max(len(counts), 1)
    points = [(LEFT, scale(0))]
    for index, count in enumerate(counts):
        points += [(LEFT + index * width, scale(count)), (LEFT + (index + 1) * width, scale(count))]
    return [*points, (WIDTH - RIGHT, scale(0))]


def _filled(histogram: Histogram, scale: _LogScale, meaning: str) -> Html:
    return svg.path(_steps(histogram, scale), class_=f"fill {meaning}")


def _outline(histogram: Histogram, scale: _LogScale, meaning: str) -> Html:
    return svg.path(_steps(histogram, scale), class_=f"outline {meaning}")


def _level(level: float, span: Histogram) -> Html:
    x = _x(level, span)
    return svg.line(x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, class_="level")


def _axis(span: Histogram, title: str) -> Html:
    base = HEIGHT - BOTTOM
    return join(
        svg.line(LEFT, base, WIDTH - RIGHT, base, class_="base"),
        svg.text(LEFT, base + 17, _number(span.low), class_="axis"),
        svg.text(WIDTH - RIGHT, base + 17, _number(span.high), text_anchor="end", class_="axis"),
        svg.text(WIDTH / 2, base + 28, title, text_anchor="middle", class_="axis"),
    )


def _number(value: float) -> str:
    """Three significant digits with a typographic minus sign."""
    return f"{value:.3g}".replace("-", "−")
