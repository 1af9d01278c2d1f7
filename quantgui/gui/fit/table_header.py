"""The head of the fit table: titles, and over the bars the axis with the limits by name."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import QHeaderView, QWidget

from quantgui.gui import formatting, icons, theme
from quantgui.gui.fit.columns import COLUMNS, MEMORY
from quantgui.gui.fit.row_painter import PAD, bar_x
from quantgui.gui.fit.scale import Scale

HEIGHT = 56
_LINE = 16


class TableHeader(QHeaderView):
    """A click on a title sorts by it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._scale: Scale | None = None
        self.setSectionsClickable(True)
        self.setSortIndicatorShown(True)
        self.setStretchLastSection(False)
        self.setMinimumSectionSize(40)
        self.setAccessibleName("Columns of the fit table")

    def set_scale(self, scale: Scale | None) -> None:
        """The axis to draw over the bars."""
        if scale != self._scale:
            self._scale = scale
            self.viewport().update()

    def sizeHint(self) -> QSize:
        """Three lines: two limits and the ticks."""
        return QSize(super().sizeHint().width(), HEIGHT)

    def paintSection(self, painter: QPainter, rect: QRect, logicalIndex: int) -> None:  # noqa: N803
        """Draw one column's head."""
        cell = QRectF(rect)
        paint_head(painter, cell, logicalIndex, self._scale)
        if self.isSortIndicatorShown() and self.sortIndicatorSection() == logicalIndex:
            up = self.sortIndicatorOrder() is Qt.SortOrder.AscendingOrder
            paint_sort_mark(painter, cell, up)


def paint_head(painter: QPainter, cell: QRectF, column: int, scale: Scale | None) -> None:
    """The head of a column; over the bars the axis of `scale`."""
    colors = theme.current()
    painter.save()
    painter.fillRect(cell, colors.color("surface"))
    painter.setPen(colors.color("border"))
    painter.drawLine(cell.bottomLeft(), cell.bottomRight())
    if column == MEMORY and scale is not None:
        _paint_axis(painter, cell, scale)
    else:
        right = COLUMNS[column].right
        painter.setPen(colors.color("muted"))
        painter.setFont(theme.font(12, QFont.Weight.Medium))
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        flags = side | Qt.AlignmentFlag.AlignBottom | Qt.TextFlag.TextWordWrap
        painter.drawText(cell.adjusted(22 if column == 0 else PAD, 0, -PAD, -6), flags, COLUMNS[column].title)
    painter.restore()


def paint_sort_mark(painter: QPainter, cell: QRectF, up: bool) -> None:
    """A small arrow at the top right of a head: its column decides the order."""
    mark = QRectF(cell.right() - PAD - 10, cell.top() + 6, 10, 10)
    if up:
        painter.save()
        painter.translate(mark.center())
        painter.rotate(180)
        painter.translate(-mark.center())
    icons.paint(painter, "chevron-down", mark, theme.current().muted)
    if up:
        painter.restore()


def _paint_axis(painter: QPainter, cell: QRectF, scale: Scale) -> None:
    colors = theme.current()
    painter.setFont(theme.font(theme.SMALL, QFont.Weight.Medium))
    metrics = QFontMetricsF(painter.font())
    for line, limit in enumerate(scale.limits):
        top = cell.top() + 2 + _LINE * line
        words = f"{limit.name} {formatting.memory(limit.nbytes)}"
        if limit.is_far:
            words += ", far to the right"
            room = QRectF(cell.left(), top, cell.width() - PAD, _LINE)
            shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, room.width())
            room.setLeft(room.right() - metrics.horizontalAdvance(shown) - 6)
            painter.fillRect(room, colors.color("surface"))  # the first limit's line passes here
            painter.setPen(colors.color("muted"))
            painter.drawText(room, Qt.AlignmentFlag.AlignRight, shown)
            continue
        x = bar_x(limit.nbytes, scale, cell)
        width = metrics.horizontalAdvance(words) + 2
        painter.setPen(colors.color("text"))
        painter.drawLine(round(x), round(top + 3), round(x), round(cell.bottom()))
        room = QRectF(min(x + 4, cell.right() - width), top, width, _LINE)
        painter.fillRect(room, colors.color("surface"))
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft, words)
    _paint_ticks(painter, cell, scale)


def _paint_ticks(painter: QPainter, cell: QRectF, scale: Scale) -> None:
    """Numbers of the axis, over the lines of the limits."""
    colors = theme.current()
    painter.setFont(theme.font(theme.SMALL))
    painter.setPen(colors.color("muted"))
    metrics = QFontMetricsF(painter.font())
    for nbytes, text in scale.ticks:
        x = bar_x(nbytes, scale, cell)
        shown = f"{text} {scale.unit}" if nbytes == scale.ticks[-1][0] else text
        width = metrics.horizontalAdvance(shown) + 2
        room = QRectF(x - width / 2, cell.bottom() - _LINE - 5, width, _LINE)
        painter.fillRect(room, colors.color("surface"))
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter, shown)
