"""The precisions to choose from: what each is at the left, bits per weight and bytes of tensors at the right."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QPainter
from PySide6.QtWidgets import (
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from quantgui import units
from quantgui.gui import theme
from quantgui.quant.method import SchemeRow
from quantgui.types import MemoryEstimate, MemoryKind

ROW_HEIGHT = 38
SHOWN_ROWS = 8  # so that the settings below stay in sight however many precisions there are
_ROW = Qt.ItemDataRole.UserRole
_ESTIMATE = Qt.ItemDataRole.UserRole + 1


class SchemeList(QListWidget):
    """`chosen` is emitted with the id when a person chooses another precision."""

    chosen = Signal(str)

    def __init__(self, rows: Sequence[SchemeRow], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Precisions")
        self.setItemDelegate(_RowDelegate(self))
        self.setProperty("frameless", True)
        self.setVerticalScrollMode(QListWidget.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for row in rows:
            item = QListWidgetItem(f"{row.id}, {row.title}")
            item.setData(_ROW, row)
            item.setToolTip(f"{row.summary}\nLoaded by {', '.join(row.runtimes)}.")
            self.addItem(item)
        self.setFixedHeight(min(len(rows), SHOWN_ROWS) * ROW_HEIGHT + 4)
        self.currentItemChanged.connect(self._announce)

    def show_choice(self, scheme_id: str) -> None:
        """Mark the recipe's precision without announcing it."""
        self.blockSignals(True)
        for index in range(self.count()):
            if self.item(index).data(_ROW).id == scheme_id:
                self.setCurrentRow(index)
                self.scrollToItem(self.item(index))
        self.blockSignals(False)

    def show_estimates(self, estimates: Sequence[MemoryEstimate]) -> None:
        """Show bits per weight and tensor bytes of the open model beside each precision."""
        by_id = {estimate.scheme_id: estimate for estimate in estimates}
        for index in range(self.count()):
            item = self.item(index)
            item.setData(_ESTIMATE, by_id.get(item.data(_ROW).id))

    def _announce(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.chosen.emit(item.data(_ROW).id)


class _RowDelegate(QStyledItemDelegate):
    """Two lines of two columns."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """All rows are equally tall."""
        return QSize(200, ROW_HEIGHT)

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
        self._texts(painter, rect.adjusted(12, 2, -10, -2), index)
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
        _text(painter, lower, row.title, left, theme.font(12), "muted")
        _text(painter, lower, size, right, theme.font(12), "muted")


def _text(painter: QPainter, rect: QRectF, words: str, side: Qt.AlignmentFlag, font: QFont, color: str) -> None:
    painter.setFont(font)
    painter.setPen(theme.current().color(color))
    painter.drawText(rect, side | Qt.AlignmentFlag.AlignVCenter, words)
