"""The table and chart in one: every precision with its stacked bar against the limits, its verdict and numbers.

A whole row is painted in one call, so that the table follows a slider: Qt's cell by cell painting takes several times
as long.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStyleOptionViewItem, QTreeView

from quantgui.gui.fit.columns import CONTEXT, MEMORY, QUALITY, SPEED, WIDTHS
from quantgui.gui.fit.groups import Group
from quantgui.gui.fit.row_painter import LABEL_ROOM, Marks, paint_fold, paint_group, paint_row
from quantgui.gui.fit.scale import Scale, scale_for
from quantgui.gui.fit.table_header import TableHeader
from quantgui.gui.fit.table_model import Line, TableModel
from quantgui.types import MemoryEstimate

Index = QModelIndex | QPersistentModelIndex
MOST_TICKS, TICK_ROOM, LEAST_BAR = 8, 36, 160
BEYOND_LIMIT = 1.2
_GIVEN_UP = (QUALITY, SPEED, CONTEXT)
"""Columns that make room in a narrow window, the first one first; the details say the same."""
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class TableView(QTreeView):
    """`picked` follows the cursor, `chosen` a double click or Enter; `unfold_asked` carries the id of a group."""

    picked = Signal(str)
    chosen = Signal(str)
    unfold_asked = Signal(str)
    sort_changed = Signal(int, bool)  # column, descending

    def __init__(self) -> None:
        super().__init__()
        self.lines = TableModel()
        self.setModel(self.lines)
        self._scale: Scale | None = None
        self._limits: Sequence[tuple[str, int]] = ()
        self._picked = self._best = self._in_recipe = ""
        self._hover: QPersistentModelIndex | None = None
        self._closed: set[str] = set()
        self._head = TableHeader(self)
        self.setHeader(self._head)
        self._head.sortIndicatorChanged.connect(
            lambda column, order: self.sort_changed.emit(column, order is Qt.SortOrder.DescendingOrder)
        )
        self._set_up()

    def _set_up(self) -> None:
        self.setAccessibleName("What every precision needs")
        self.setProperty("frameless", True)
        self.setRootIsDecorated(False)
        self.setIndentation(0)
        self.setUniformRowHeights(True)
        self.setExpandsOnDoubleClick(False)
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for column, width in WIDTHS.items():
            self._head.resizeSection(column, width)
        self._head.setSectionResizeMode(MEMORY, QHeaderView.ResizeMode.Stretch)
        self.setMinimumWidth(420)
        self.clicked.connect(self._clicked)
        self.doubleClicked.connect(self._double_clicked)
        self.expanded.connect(lambda index: self._closed.discard(self.lines.group(index).id))
        self.collapsed.connect(lambda index: self._closed.add(self.lines.group(index).id))

    def show_groups(
        self, groups: Sequence[Group], limits: Sequence[tuple[str, int]], picked: str, best: str, in_recipe: str
    ) -> None:
        """Draw these; `picked` is marked, `best` carries a star and `in_recipe` a tick."""
        self._limits, self._picked, self._best, self._in_recipe = limits, picked, best, in_recipe
        if self.lines.set_groups(groups):
            for number, group in enumerate(groups):
                self.setExpanded(self.lines.index(number, 0), group.id not in self._closed)
        self._rescale()
        self._follow_pick()
        self.viewport().update()

    def show_sort(self, column: int, descending: bool) -> None:
        """Mark the column that decides the order."""
        order = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
        self._head.blockSignals(True)
        self._head.setSortIndicator(column, order)
        self._head.blockSignals(False)

    @property
    def scale(self) -> Scale | None:
        """The axis in force, None while the table is empty."""
        return self._scale

    @property
    def closed_groups(self) -> tuple[str, ...]:
        """Ids of the groups that are folded to their heading."""
        return tuple(sorted(self._closed))

    def close_groups(self, ids: Sequence[str]) -> None:
        """Fold these groups to their headings, now or once they are there."""
        self._closed = set(ids)

    def drawRow(self, painter: QPainter, options: QStyleOptionViewItem, index: Index) -> None:
        """Paint a whole line."""
        whole = QRectF(options.rect)  # type: ignore[attr-defined]
        whole.setWidth(self.viewport().width())
        whole.setLeft(0)
        focused = self.hasFocus() and _same_line(index, self.currentIndex())
        hovered = self._hover is not None and _same_line(index, self._hover)
        line = self.lines.line(index)
        if isinstance(line, MemoryEstimate) and self._scale is not None:
            name = line.scheme_id
            marks = Marks(name == self._picked, hovered, focused, name == self._best, name == self._in_recipe)
            paint_row(painter, self.columns_at(whole), line, self._scale, marks)
        elif line is Line.GROUP:
            paint_group(painter, whole, self.lines.data(index), self.isExpanded(_plain(index)), focused)
        elif line is Line.FOLD:
            paint_fold(painter, whole, self.lines.data(index), hovered, focused)

    def columns_at(self, whole: QRectF) -> dict[int, QRectF]:
        """The cells of a line that lies at `whole`."""
        head = self._head
        return {
            column: QRectF(head.sectionViewportPosition(column), whole.top(), head.sectionSize(column), whole.height())
            for column in range(head.count())
            if not head.isSectionHidden(column)
        }

    def currentChanged(self, current: Index, previous: Index) -> None:
        """Say which precision the cursor is on."""
        super().currentChanged(_plain(current), _plain(previous))
        self.setAccessibleDescription(self.lines.accessible_description(current))
        line = self.lines.line(current)
        if isinstance(line, MemoryEstimate) and line.scheme_id != self._picked:
            self._picked = line.scheme_id
            self.picked.emit(line.scheme_id)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter uses a precision, and opens or folds what is not one; everything else is as in every tree."""
        index = self.currentIndex()
        line = self.lines.line(index)
        if event.key() in (*_ENTER, Qt.Key.Key_Space) and line is not None:
            if isinstance(line, MemoryEstimate):
                self.chosen.emit(line.scheme_id)
            else:
                self._clicked(index)
            return
        super().keyPressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Mark the line below the pointer."""
        super().mouseMoveEvent(event)
        self._set_hover(self.indexAt(event.position().toPoint()))

    def leaveEvent(self, event: QEvent) -> None:
        """No line is below the pointer."""
        super().leaveEvent(event)
        self._set_hover(QModelIndex())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give up columns where the bars have too little room."""
        super().resizeEvent(event)
        room = self.viewport().width() - sum(WIDTHS.values())
        for column in _GIVEN_UP:
            hidden = room < LEAST_BAR
            self._head.setSectionHidden(column, hidden)
            room += WIDTHS[column] if hidden else 0
        self._rescale()

    def _set_hover(self, index: QModelIndex) -> None:
        self._hover = QPersistentModelIndex(index) if index.isValid() else None
        is_precision = isinstance(self.lines.line(index), MemoryEstimate)
        shape = (
            Qt.CursorShape.PointingHandCursor if index.isValid() and not is_precision else Qt.CursorShape.ArrowCursor
        )
        self.viewport().setCursor(shape)
        self.viewport().update()

    def _clicked(self, index: QModelIndex) -> None:
        line = self.lines.line(index)
        if line is Line.GROUP:
            first = index.siblingAtColumn(0)
            self.setExpanded(first, not self.isExpanded(first))
        elif line is Line.FOLD:
            self.unfold_asked.emit(self.lines.group(index).id)

    def _double_clicked(self, index: QModelIndex) -> None:
        line = self.lines.line(index)
        if isinstance(line, MemoryEstimate):
            self.chosen.emit(line.scheme_id)

    def _follow_pick(self) -> None:
        """Put the cursor on the picked line without announcing it."""
        wanted = self.lines.index_of(self._picked)
        if wanted.isValid() and not _same_line(wanted, self.currentIndex()):
            self.selectionModel().blockSignals(True)
            self.setCurrentIndex(wanted)
            self.selectionModel().blockSignals(False)
            self.scrollTo(wanted.parent() if wanted.row() == 0 else wanted)
            self.setAccessibleDescription(self.lines.accessible_description(wanted))

    def _rescale(self) -> None:
        ends = shown_ends([row for group in self.lines.groups for row in group.rows], self._limits)
        room = self._head.sectionSize(MEMORY) - LABEL_ROOM
        ticks = min(MOST_TICKS, max(2, room // TICK_ROOM))
        self._scale = scale_for(ends, self._limits, ticks) if ends else None
        self._head.set_scale(self._scale)


def shown_ends(rows: Sequence[MemoryEstimate], limits: Sequence[tuple[str, int]]) -> list[int]:
    """How far each bar must be seen, in bytes: to the end of its band, but not far beyond the last limit.

    What is much too large is cut off: else it would shrink the bars that are worth comparing.
    """
    most = int(BEYOND_LIMIT * max((nbytes for _, nbytes in limits), default=0))
    return [min(max(row.total_bytes, row.band[1]), most) for row in rows]


def _same_line(first: Index, second: Index) -> bool:
    return first.row() == second.row() and first.internalId() == second.internalId()


def _plain(index: Index) -> QModelIndex:
    return QModelIndex(index)  # type: ignore[arg-type]
