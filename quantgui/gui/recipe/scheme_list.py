"""The precisions to choose from, by kind: what each is at the left, bits per weight and bytes of tensors at the right.

A kind opens and closes with a click or the Return key on its heading; that of the recipe's precision is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import (
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from quantgui import units
from quantgui.gui import icons, theme
from quantgui.quant.method import Kind, SchemeRow
from quantgui.types import MemoryEstimate, MemoryKind

ROW_HEIGHT = 38
HEADING_HEIGHT = 28
MOST_HEIGHT = 340
GAP = 8
_ROW = Qt.ItemDataRole.UserRole
_ESTIMATE = Qt.ItemDataRole.UserRole + 1
_KIND = Qt.ItemDataRole.UserRole + 2
_COUNT = Qt.ItemDataRole.UserRole + 3
_OPEN = Qt.ItemDataRole.UserRole + 4


class SchemeList(QListWidget):
    """`chosen` is emitted with the id when a person chooses another precision."""

    chosen = Signal(str)

    def __init__(self, rows_by_kind: Mapping[Kind, Sequence[SchemeRow]], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Precisions")
        self.setItemDelegate(_RowDelegate(self))
        self.setProperty("frameless", True)
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._shown_id = ""
        self._members: dict[Kind, list[QListWidgetItem]] = {}
        self._headings: dict[Kind, QListWidgetItem] = {}
        for kind, rows in rows_by_kind.items():
            self._add_kind(kind, rows)
        self.currentItemChanged.connect(self._announce)
        self.itemClicked.connect(self._toggle)
        self.itemActivated.connect(self._toggle)
        self._fit_height()

    def show_choice(self, scheme_id: str) -> None:
        """Mark the recipe's precision without announcing it, and open its kind."""
        self._shown_id = scheme_id
        for kind, members in self._members.items():
            for item in members:
                if item.data(_ROW).id == scheme_id:
                    self._open(kind, True)
                    self.blockSignals(True)
                    self.setCurrentItem(item)
                    self.blockSignals(False)
                    self.scrollToItem(item)

    def show_estimates(self, estimates: Sequence[MemoryEstimate]) -> None:
        """Show bits per weight and tensor bytes of the open model beside each precision."""
        by_id = {estimate.scheme_id: estimate for estimate in estimates}
        for members in self._members.values():
            for item in members:
                item.setData(_ESTIMATE, by_id.get(item.data(_ROW).id))

    def choose(self, scheme_id: str) -> None:
        """Choose a precision as a click on it would."""
        item = next(i for members in self._members.values() for i in members if i.data(_ROW).id == scheme_id)
        self.setCurrentItem(item)

    def is_open(self, kind: Kind) -> bool:
        """Whether the precisions of a kind are shown."""
        return bool(self._headings[kind].data(_OPEN))

    def _add_kind(self, kind: Kind, rows: Sequence[SchemeRow]) -> None:
        heading = QListWidgetItem(f"{kind.value}, {len(rows)} precisions")
        heading.setFlags(Qt.ItemFlag.ItemIsEnabled)
        heading.setData(_KIND, kind.value)
        heading.setData(_COUNT, len(rows))
        self.addItem(heading)
        self._headings[kind] = heading
        self._members[kind] = []
        for row in rows:
            item = QListWidgetItem(f"{row.id}, {row.title}")
            item.setData(_ROW, row)
            item.setToolTip(f"{row.summary}\nLoaded by {', '.join(row.runtimes)}.")
            self.addItem(item)
            self._members[kind].append(item)
            item.setHidden(True)

    def _toggle(self, item: QListWidgetItem) -> None:
        if item.data(_KIND) is not None:
            kind = Kind(item.data(_KIND))
            self._open(kind, not self.is_open(kind))

    def _open(self, kind: Kind, opened: bool) -> None:
        self._headings[kind].setData(_OPEN, opened)
        for item in self._members[kind]:
            item.setHidden(not opened)
        self._fit_height()

    def _fit_height(self) -> None:
        """As tall as what is open, at most so that the settings below stay in sight."""
        items = [self.item(index) for index in range(self.count())]
        shown = sum(HEADING_HEIGHT if i.data(_KIND) is not None else ROW_HEIGHT for i in items if not i.isHidden())
        self.setFixedHeight(min(shown, MOST_HEIGHT) + 4)

    def _announce(self, item: QListWidgetItem | None) -> None:
        row = item.data(_ROW) if item is not None else None
        if row is not None and row.id != self._shown_id:
            self._shown_id = row.id
            self.chosen.emit(row.id)


class _RowDelegate(QStyledItemDelegate):
    """Two lines of two columns, or the heading of a kind."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """All rows are equally tall, and so are all headings."""
        return QSize(200, ROW_HEIGHT if index.data(_KIND) is None else HEADING_HEIGHT)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw background, focus mark, and the four texts."""
        colors = theme.current()
        rect = QRectF(option.rect).adjusted(2, 1, -2, -1)  # type: ignore[attr-defined]
        state = option.state  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(colors.color("accent_soft"))
            painter.drawRoundedRect(rect, 6, 6)
            painter.setBrush(colors.color("accent"))
            painter.drawRoundedRect(QRectF(rect.left(), rect.top() + 7, 3, rect.height() - 14), 1.5, 1.5)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(colors.color("raised"))
            painter.drawRoundedRect(rect, 6, 6)
        if index.data(_KIND) is None:
            self._texts(painter, rect.adjusted(10, 2, -6, -2), index)
        else:
            _heading(painter, rect, index)
        painter.restore()

    def _texts(self, painter: QPainter, rect: QRectF, index: QModelIndex | QPersistentModelIndex) -> None:
        row: SchemeRow = index.data(_ROW)
        estimate: MemoryEstimate | None = index.data(_ESTIMATE)
        bits = estimate.bits_per_weight if estimate else row.bits
        weights = estimate.part(MemoryKind.WEIGHTS) if estimate else None
        size = units.file_size(weights) if weights else ""
        upper = QRectF(rect.left(), rect.top(), rect.width(), rect.height() / 2)
        lower = upper.translated(0, rect.height() / 2)
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
        _text(painter, upper, row.id, left, theme.font(theme.BODY, QFont.Weight.DemiBold), "text")
        _text(painter, upper, units.bits_per_weight(bits), right, theme.font(), "text")
        font = theme.font(12)
        metrics = QFontMetricsF(font)
        room = lower.width() - metrics.horizontalAdvance(size) - GAP
        _text(painter, lower, metrics.elidedText(row.title, Qt.TextElideMode.ElideRight, room), left, font, "muted")
        _text(painter, lower, size, right, font, "muted")


def _heading(painter: QPainter, rect: QRectF, index: QModelIndex | QPersistentModelIndex) -> None:
    """Chevron, name and number of a kind."""
    is_open = bool(index.data(_OPEN))
    side = icons.BESIDE_TEXT
    mark = QRectF(rect.left(), rect.center().y() - side / 2, side, side)
    icons.icon("chevron-down" if is_open else "chevron-right").paint(painter, mark.toRect())
    words = rect.adjusted(side + 6, 0, -10, 0)
    left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight
    _text(painter, words, index.data(_KIND), left, theme.font(12, QFont.Weight.DemiBold), "muted")
    _text(painter, words, "" if is_open else str(index.data(_COUNT)), right, theme.font(12), "muted")


def _text(painter: QPainter, rect: QRectF, words: str, side: Qt.AlignmentFlag, font: QFont, color: str) -> None:
    painter.setFont(font)
    painter.setPen(theme.current().color(color))
    painter.drawText(rect, side | Qt.AlignmentFlag.AlignVCenter, words)
