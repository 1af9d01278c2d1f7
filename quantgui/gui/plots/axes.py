"""Axes with plain numbers: counts on a logarithmic scale, values and sizes on a linear one."""

from __future__ import annotations

import math

import pyqtgraph as pg

from quantgui.gui import theme
from quantgui.gui.theme import SMALL

LOG_FLOOR = math.log10(0.5)
"""Where the axis of counts begins: a count of 1 is a visible step above it, 0 is none."""
_BOTTOM_HEIGHT = 36
"""Ticks and title of a horizontal axis without air between them."""
_POWERS = ("1", "10", "100", "1 k", "10 k", "100 k", "1 M", "10 M", "100 M", "1 G", "10 G", "100 G", "1 T")


def log_count(count: float) -> float:
    """Height of a count on the logarithmic axis."""
    return math.log10(count) if count >= 1 else LOG_FLOOR


class Axis(pg.AxisItem):
    """An axis in the window's font and colours, without unit prefixes of its own."""

    def __init__(self, side: str, title: str) -> None:
        super().__init__(side)
        self._title = title
        self.enableAutoSIPrefix(False)
        if side == "bottom":
            self.setHeight(_BOTTOM_HEIGHT)
        self.restyle()

    def set_title(self, title: str) -> None:
        """Change the words beside the axis."""
        if title != self._title:
            self._title = title
            self.restyle()

    def restyle(self) -> None:
        """Take the colours of the theme in force."""
        colors = theme.current()
        self.setStyle(tickFont=theme.font(SMALL), tickLength=-4, tickTextOffset=4)
        self.setPen(colors.border)
        self.setTextPen(colors.muted)
        self.setLabel(self._title)
        assert self.label is not None
        self.label.setFont(theme.font(SMALL))
        self.label.setDefaultTextColor(colors.color("muted"))


class ValueAxis(Axis):
    """A linear axis whose ticks are plain numbers, never "1e-05"."""

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """As many decimals as the spacing of the ticks needs."""
        decimals = max(0, math.ceil(-math.log10(spacing * scale))) if spacing > 0 else 0
        if decimals > 6:
            return [f"{value * scale:.1e}" if value else "0" for value in values]
        return [f"{value * scale:.{decimals}f}".replace("-", "−") for value in values]


class CountAxis(Axis):
    """A logarithmic axis of counts: 1, 10, 100, 1 k …"""

    def tickValues(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, list[float]]]:  # noqa: N803
        """One tick per power of ten, or every other one where the axis is short."""
        first, last = max(0, math.ceil(minVal)), min(math.floor(maxVal), len(_POWERS) - 1)
        step = max(1, math.ceil((last - first + 1) * 22 / max(size, 1)))
        return [(float(step), [float(power) for power in range(first, last + 1, step)])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        """The counts themselves."""
        return [_POWERS[round(value)] for value in values]
