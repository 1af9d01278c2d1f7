"""The painted bars: one row per precision, its memory stacked by kind, the limits as named lines, the verdict in words.

Painted by hand: a redraw takes about a millisecond, so the bars follow the slider.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from quantgui.gui import formatting, icons, theme
from quantgui.gui.fit.scale import Limit, Scale, scale_for
from quantgui.gui.widgets.verdict_badge import badge_width, paint_badge
from quantgui.types import MemoryEstimate, MemoryKind

TOP, BOTTOM, LEFT = 44, 46, 84
MIN_ROW, MAX_ROW, MAX_BAR = 26, 100, 48
MOST_TICKS = 8
TOTAL_ROOM = 82
TICK_ROOM = 64
PART_NAMES = {
    MemoryKind.WEIGHTS: "weights",
    MemoryKind.KV_CACHE: "KV cache",
    MemoryKind.COMPUTE: "compute",
    MemoryKind.OVERHEAD: "overhead",
}


class BarsCanvas(QWidget):
    """`picked` follows a click or the arrows, `chosen` a double click or Enter, `hovered` the pointer ("" outside)."""

    picked = Signal(str)
    chosen = Signal(str)
    hovered = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._estimates: Sequence[MemoryEstimate] = ()
        self._limits: Sequence[tuple[str, int]] = ()
        self._scale: Scale | None = None
        self._picked = self._in_recipe = self._hover = ""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(420, 200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_estimates(
        self, estimates: Sequence[MemoryEstimate], limits: Sequence[tuple[str, int]], picked: str, in_recipe: str
    ) -> None:
        """Draw these rows; `picked` is marked, `in_recipe` carries a tick."""
        self._estimates, self._picked, self._in_recipe = estimates, picked, in_recipe
        self._limits = limits
        self._rescale()
        self.update()

    def sizeHint(self) -> QSize:
        """Comfortable rows."""
        return QSize(640, TOP + BOTTOM + 40 * max(1, len(self._estimates)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many ticks as there is room for."""
        if self._estimates:
            self._rescale()
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything."""
        if self._scale is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_axis(painter, self._scale)
        for row in range(len(self._estimates)):
            self._paint_row(painter, row, self._scale)
        self._paint_limits(painter, self._scale)
        self._paint_key(painter)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Mark the row below the pointer."""
        self._set_hover(self._id_at(event.position().y()))

    def leaveEvent(self, event: QEvent) -> None:
        """No row is below the pointer."""
        self._set_hover("")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Pick the row."""
        if found := self._id_at(event.position().y()):
            self.picked.emit(found)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Use the row."""
        if found := self._id_at(event.position().y()):
            self.chosen.emit(found)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows move the pick, Enter uses it."""
        ids = [e.scheme_id for e in self._estimates]
        at = ids.index(self._picked) if self._picked in ids else -1
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()), 0)
        if step and ids:
            self.picked.emit(ids[max(0, min(len(ids) - 1, at + step))])
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and at >= 0:
            self.chosen.emit(self._picked)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Explain the row below the pointer."""
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            found = self._id_at(event.pos().y())
            text = next((tip(e) for e in self._estimates if e.scheme_id == found), "")
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def _set_hover(self, scheme_id: str) -> None:
        if scheme_id != self._hover:
            self._hover = scheme_id
            self.hovered.emit(scheme_id)
            self.update()

    def _row_height(self) -> float:
        room = self.height() - TOP - BOTTOM
        return max(MIN_ROW, min(MAX_ROW, room / max(1, len(self._estimates))))

    def _id_at(self, y: float) -> str:
        row = int((y - TOP) // self._row_height())
        return self._estimates[row].scheme_id if 0 <= row < len(self._estimates) else ""

    def _x(self, nbytes: float, scale: Scale) -> float:
        return LEFT + nbytes / scale.end * (self.width() - LEFT - self._right() - TOTAL_ROOM - 12)

    def _rescale(self) -> None:
        room = self.width() - LEFT - self._right() - TOTAL_ROOM
        totals = [estimate.total_bytes for estimate in self._estimates]
        self._scale = scale_for(totals, self._limits, min(MOST_TICKS, max(2, int(room // TICK_ROOM))))

    def _right(self) -> float:
        """Room for the widest verdict that is shown."""
        return 26 + max(badge_width(estimate.verdict) for estimate in self._estimates)

    def _bottom(self) -> float:
        return TOP + self._row_height() * len(self._estimates)

    def _paint_axis(self, painter: QPainter, scale: Scale) -> None:
        colors = theme.current()
        painter.setFont(theme.font(theme.SMALL))
        bottom = self._bottom()
        for nbytes, words in scale.ticks:
            x = self._x(nbytes, scale)
            painter.setPen(colors.color("grid"))
            painter.drawLine(QPointF(x, TOP), QPointF(x, bottom))
            painter.setPen(colors.color("muted"))
            last = nbytes == scale.ticks[-1][0]
            painter.drawText(
                QRectF(x - 40, bottom + 4, 80, 14),
                Qt.AlignmentFlag.AlignCenter,
                f"{words} {scale.unit}" if last else words,
            )

    def _paint_row(self, painter: QPainter, row: int, scale: Scale) -> None:
        colors = theme.current()
        estimate, height = self._estimates[row], self._row_height()
        top = TOP + row * height
        middle = top + height / 2
        if estimate.scheme_id in (self._picked, self._hover):
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("accent_soft" if estimate.scheme_id == self._picked else "raised"))
            painter.drawRoundedRect(QRectF(2, top + 1, self.width() - 4, height - 2), 6, 6)
        if self.hasFocus() and estimate.scheme_id == self._picked:
            painter.setPen(QPen(colors.color("accent"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(2, top + 1, self.width() - 4, height - 2), 6, 6)
        painter.setPen(colors.color("text"))
        painter.setFont(theme.font(weight=QFont.Weight.DemiBold))
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(12, top, LEFT - 12, height), left, estimate.scheme_id)
        if estimate.scheme_id == self._in_recipe:
            icons.paint(painter, "check", QRectF(LEFT - 24, middle - 7, 14, 14), colors.accent)
        bar = min(MAX_BAR, height * 0.6)
        self._paint_parts(painter, estimate, scale, middle - bar / 2, bar)
        painter.setPen(colors.color("text"))
        painter.setFont(theme.font())
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        numbers = QRectF(self.width() - self._right() - TOTAL_ROOM, top, TOTAL_ROOM, height)
        painter.drawText(numbers, right, formatting.memory(estimate.total_bytes))
        paint_badge(painter, self.width() - self._right() + 14, middle, estimate.verdict)

    def _paint_parts(
        self, painter: QPainter, estimate: MemoryEstimate, scale: Scale, top: float, height: float
    ) -> None:
        """Draw the stacked bar; what lies beyond the first limit is hatched."""
        colors = theme.current()
        painter.setPen(Qt.PenStyle.NoPen)
        done, left = 0, self._x(0, scale)
        for part in estimate.parts:
            if not part.nbytes:
                continue
            done += part.nbytes
            right = self._x(done, scale)
            painter.fillRect(QRectF(left, top, max(1.5, right - left), height), colors.memory(part.kind))
            left = max(right, left + 1.5)
        limit = scale.limits[0]
        if done > limit.nbytes:
            hatch = QColor(colors.window)
            hatch.setAlphaF(0.75)
            start = self._x(limit.nbytes, scale)
            painter.fillRect(QRectF(start, top, left - start, height), QBrush(hatch, Qt.BrushStyle.BDiagPattern))

    def _paint_limits(self, painter: QPainter, scale: Scale) -> None:
        colors = theme.current()
        painter.setFont(theme.font(theme.SMALL, QFont.Weight.Medium))
        metrics = QFontMetricsF(painter.font())
        for line, limit in enumerate(scale.limits):
            words = f"{limit.name} {formatting.memory(limit.nbytes)}{', far to the right' if limit.is_far else ''}"
            width = metrics.horizontalAdvance(words) + 20
            y = 4.0 + 17 * line
            painter.setPen(colors.color("text"))
            if limit.is_far:
                self._paint_far(painter, limit, words, width, y)
            else:
                x = self._x(limit.nbytes, scale)
                painter.setPen(QPen(colors.color("text"), 1.4, Qt.PenStyle.DashLine if line else Qt.PenStyle.SolidLine))
                painter.drawLine(QPointF(x, y + 1), QPointF(x, self._bottom()))
                left = x - 4 if x + width < self.width() else x - width + 4
                painter.drawText(QRectF(left, y, width, 14), Qt.AlignmentFlag.AlignCenter, words)

    def _paint_far(self, painter: QPainter, limit: Limit, words: str, width: float, y: float) -> None:
        colors = theme.current()
        right = self.width() - self._right() - TOTAL_ROOM
        painter.setPen(colors.color("muted"))
        painter.drawText(QRectF(right - width, y, width, 14), Qt.AlignmentFlag.AlignCenter, words)
        icons.paint(painter, "chevron-right", QRectF(right, y + 1, 12, 12), colors.muted)

    def _paint_key(self, painter: QPainter) -> None:
        """Names of the parts that are there, beside a square of their colour."""
        colors = theme.current()
        painter.setFont(theme.font(theme.SMALL))
        metrics = QFontMetricsF(painter.font())
        x, y = float(LEFT), self._bottom() + 26
        there = {part.kind for estimate in self._estimates for part in estimate.parts if part.nbytes}
        for kind, name in PART_NAMES.items():
            if kind in there:
                painter.fillRect(QRectF(x, y + 2, 10, 10), colors.memory(kind))
                painter.setPen(colors.color("muted"))
                painter.drawText(QPointF(x + 15, y + 11), name)
                x += 15 + metrics.horizontalAdvance(name) + 18


def parts_in_words(estimate: MemoryEstimate) -> str:
    """ "weights 7.51 GiB · KV cache 1.00 GiB"."""
    known = [f"{PART_NAMES[p.kind]} {formatting.memory(p.nbytes)}" for p in estimate.parts if p.nbytes is not None]
    return " · ".join(known)


def tip(estimate: MemoryEstimate) -> str:
    """What hovering a row says."""
    missing = [PART_NAMES[p.kind] for p in estimate.parts if p.nbytes is None]
    lines = [f"{estimate.scheme_id}: {parts_in_words(estimate)}", estimate.reason]
    if missing:
        lines.append(f"Not estimated: {', '.join(missing)}.")
    return "\n".join(lines)
