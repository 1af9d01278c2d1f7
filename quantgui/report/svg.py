"""The few SVG shapes that the figures are drawn with. Sizes in pixels of the figure's view box."""

from __future__ import annotations

from collections.abc import Iterable

from quantgui.report.markup import Html, number, tag


def figure(width: float, height: float, label: str, *children: object) -> Html:
    """An `<svg>` that scales with the page and is read out as `label`."""
    box = f"0 0 {number(width)} {number(height)}"
    return tag("svg", *children, viewBox=box, role="img", aria_label=label, width=number(width))


def rect(x: float, y: float, width: float, height: float, *children: object, **attributes: object) -> Html:
    """A rectangle; children are its tooltip."""
    size = {"x": number(x), "y": number(y), "width": number(width), "height": number(height)}
    return tag("rect", *children, **size, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> Html:
    """A straight line."""
    return tag("line", x1=number(x1), y1=number(y1), x2=number(x2), y2=number(y2), **attributes)


def text(x: float, y: float, content: object, **attributes: object) -> Html:
    """One line of text whose baseline starts at (x, y)."""
    return tag("text", content, x=number(x), y=number(y), **attributes)


def path(points: Iterable[tuple[float, float]], **attributes: object) -> Html:
    """Straight lines through the points."""
    joined = "L".join(f"{number(x)},{number(y)}" for x, y in points)
    return tag("path", d=f"M{joined}", **attributes)
