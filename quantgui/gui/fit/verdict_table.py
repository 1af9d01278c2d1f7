"""A small table of two-line cells with a column of verdicts: devices side by side, ways of fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from quantgui.gui import theme
from quantgui.gui.widgets.row_model import ROW_ROLE, Column, RowModel
from quantgui.gui.widgets.verdict_badge import paint_badge
from quantgui.types import Verdict

ROW_HEIGHT = 56
PAD = 10
_LINE = 17
_LINES = 2.2  # of ordinary size that fit a row, since words break where they end


class VerdictTable(QTableView):
    """The first line of a cell is strong in the first column; further lines are quiet and wrap.

    `verdict_of` gives what the column `verdict_column` paints, None for an empty cell.
    """

    picked = Signal(object)

    def __init__(
        self, columns: Sequence[Column], name: str, verdict_column: int, verdict_of: Callable[[Any], Verdict | None]
    ) -> None:
        super().__init__()
        self.rows_model = RowModel(columns)
        self._given_up: tuple[int, int] | None = None
        self.setModel(self.rows_model)
        self.setItemDelegate(_CellDelegate(self, verdict_column, verdict_of))
        self.setAccessibleName(name)
        self.setProperty("frameless", True)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setMinimumSectionSize(40)
        self.selectionModel().currentRowChanged.connect(lambda index, _: self.picked.emit(index.data(ROW_ROLE)))

    def set_widths(self, *widths: int) -> None:
        """Width of each column in pixels; 0 for those that share the rest."""
        for column, width in enumerate(widths):
            if width:
                self.horizontalHeader().resizeSection(column, width)
            else:
                self.horizontalHeader().setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def give_up(self, column: int, width: int) -> None:
        """Hide a column where the table is narrower than `width`."""
        self._given_up = (column, width)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give up a column where there is too little room."""
        super().resizeEvent(event)
        if self._given_up is not None:
            column, width = self._given_up
            self.setColumnHidden(column, self.viewport().width() < width)

    def set_rows(self, rows: Sequence[Any]) -> None:
        """Show these."""
        self.rows_model.set_rows(rows)
        self.updateGeometry()

    def sizeHint(self) -> QSize:
        """Room for all rows."""
        return QSize(600, self.horizontalHeader().sizeHint().height() + ROW_HEIGHT * len(self.rows_model.rows) + 6)

    def current(self) -> Any | None:
        """The row of the cursor."""
        return self.currentIndex().data(ROW_ROLE)


class _CellDelegate(QStyledItemDelegate):
    def __init__(self, table: QTableView, verdict_column: int, verdict_of: Callable[[Any], Verdict | None]) -> None:
        super().__init__(table)
        self._table = table
        self._verdict_column = verdict_column
        self._verdict_of = verdict_of

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """All rows are equally tall."""
        return QSize(80, ROW_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw the background of the cursor's row, then the lines or the badge."""
        colors = theme.current()
        cell = QRectF(option.rect)  # type: ignore[attr-defined]
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:  # type: ignore[attr-defined]
            painter.fillRect(cell, colors.color("accent_soft"))
        painter.setPen(colors.color("grid"))
        painter.drawLine(cell.bottomLeft(), cell.bottomRight())
        row = index.data(ROW_ROLE)
        verdict = self._verdict_of(row) if index.column() == self._verdict_column else None
        if verdict is not None:
            paint_badge(painter, round(cell.left() + PAD), round(cell.center().y()), verdict)
        else:
            right = bool(index.data(Qt.ItemDataRole.TextAlignmentRole) & Qt.AlignmentFlag.AlignRight)
            _paint_lines(painter, cell.adjusted(PAD, 0, -PAD, 0), str(index.data()), right, index.column() == 0)
        painter.restore()


def _paint_lines(painter: QPainter, cell: QRectF, text: str, right: bool, strong: bool) -> None:
    """The first line in the text's colour, the rest quieter; two lines of rest at most."""
    colors = theme.current()
    first, _, rest = text.partition("\n")
    side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
    painter.setFont(theme.font(weight=QFont.Weight.DemiBold if strong else QFont.Weight.Normal))
    painter.setPen(colors.color("text"))
    if not rest:
        if painter.fontMetrics().horizontalAdvance(first) > _LINES * cell.width():
            painter.setFont(theme.font(theme.SMALL))
        flags = side | Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap
        painter.drawText(cell, flags, first)
        return
    top = cell.top() + (ROW_HEIGHT - 2 * _LINE) / 2
    shown = painter.fontMetrics().elidedText(first, Qt.TextElideMode.ElideRight, int(cell.width()))
    painter.drawText(QRectF(cell.left(), top, cell.width(), _LINE), side | Qt.AlignmentFlag.AlignVCenter, shown)
    painter.setFont(theme.font(theme.SMALL))
    painter.setPen(colors.color("muted"))
    quiet = painter.fontMetrics().elidedText(rest, Qt.TextElideMode.ElideRight, int(cell.width()))
    below = QRectF(cell.left(), top + _LINE, cell.width(), _LINE)
    painter.drawText(below, side | Qt.AlignmentFlag.AlignVCenter, quiet)
