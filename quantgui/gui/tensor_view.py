"""The table of tensors on the screen: sorting, selection that follows the state, widths that fit."""

from __future__ import annotations

from collections.abc import Callable, Container

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from quantgui.gui.tensor_table import COLUMNS, Column, TensorTable

ROW_HEIGHT = 26
SCHEME = "Scheme"
_WIDEST = {
    "Tensor": "layer 88 · post-attn norm",
    "Shape": "88888 × 88888",
    SCHEME: "Q5_K_M ",
    "Bits": "16.00 ",
    "Before": "888 MB ",
    "After": "888 MB ",
    "SQNR": "88.8 dB ",
    "Cosine": "0.99999 ",
    "MSE": "1.23e-05 ",
    "Output error": "0.88 % ",
    "If rounded": "0.88 % ",
    "Max error": "1.23e-05 ",
    "Clipped": "0.88 % ",
    "To zero": "0.88 % ",
}
"""The longest words each column is made for; longer names are shortened in the middle and stand in the tooltip."""


class TensorView(QTableView):
    """Shows a TensorTable; `chosen` follows a selection by the person, not one by `select`.

    Columns that do not fit are left out, the least important first, until `show_all_columns` asks for them.
    """

    chosen = Signal(str)  # full name

    def __init__(self, model: TensorTable, hidden: Container[str] = (), remember: Callable[[str], None] | None = None):
        super().__init__()
        self._model = model
        self._hidden = hidden
        self._is_showing_all = False
        self._is_following = False
        self._remember = remember
        self._longest_scheme = _WIDEST[SCHEME]
        self.setModel(model)
        self.setAccessibleName("Tensors")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setProperty("frameless", True)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self._arrange_columns()
        self.setSortingEnabled(True)
        self.selectionModel().currentRowChanged.connect(self._chose)
        model.rowsInserted.connect(lambda _, first, last: self._make_room(first, last))
        model.modelReset.connect(lambda: self._make_room(0, model.rowCount() - 1))
        self.horizontalHeader().sortIndicatorChanged.connect(self._sorted)

    def show_all_columns(self, is_wanted: bool) -> None:
        """Show every column, with a scroll bar where they do not fit, or only those that fit."""
        self._is_showing_all = is_wanted
        self._choose_columns()

    def leave_out(self, titles: Container[str]) -> None:
        """Hide these columns in any case: they have nothing to say about what is shown."""
        if titles != self._hidden:
            self._hidden = titles
            self._choose_columns()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As many columns as there is room for."""
        super().resizeEvent(event)
        self._choose_columns()

    def sort_by(self, remembered: str) -> None:
        """Take up a sort order that `remember` was given: "6 descending"; "" is the order of the model."""
        column, _, order = remembered.partition(" ")
        index = int(column) if column.isdigit() and int(column) < len(COLUMNS) else -1
        descending = order == "descending"
        self.sortByColumn(index, Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder)

    def select(self, name: str | None) -> None:
        """Select the row of a tensor and bring it into sight, without telling anybody."""
        row = self._model.row_of(name)
        current = self.currentIndex()
        if row is None or (current.isValid() and current.row() == row):
            return
        self._is_following = True
        self.setCurrentIndex(self._model.index(row, 0))
        self._is_following = False

    def _choose_columns(self) -> None:
        room = self.viewport().width()
        for index, column in enumerate(COLUMNS):
            is_mute = column.title in self._hidden
            room -= 0 if is_mute else self._width(column)
            self.setColumnHidden(index, is_mute or (room < 0 and not self._is_showing_all))

    def _make_room(self, first: int, last: int) -> None:
        """Names of precisions are of very different lengths, and a cut one cannot be told from others."""
        names = {self._model.report_at(row).scheme_id or "" for row in range(first, last + 1)}
        longest = max((f"{name} " for name in names), key=len, default="")
        if len(longest) > len(self._longest_scheme):
            self._longest_scheme = longest
            index = next(index for index, column in enumerate(COLUMNS) if column.title == SCHEME)
            self.setColumnWidth(index, self._width(COLUMNS[index]))
            self._choose_columns()

    def _width(self, column: Column) -> int:
        widest = self._longest_scheme if column.title == SCHEME else _WIDEST[column.title]
        words = max(self.fontMetrics().horizontalAdvance(text) for text in (widest, column.title))
        return words + (20 if column.is_text else 18)

    def _arrange_columns(self) -> None:
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(48)
        for index, column in enumerate(COLUMNS):
            self.setColumnHidden(index, column.title in self._hidden)
            self.setColumnWidth(index, self._width(column))
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)

    def _chose(self, index: QModelIndex) -> None:
        if index.isValid() and not self._is_following:
            self.chosen.emit(self._model.report_at(index.row()).name)

    def _sorted(self, column: int, order: Qt.SortOrder) -> None:
        if self._remember is not None:
            self._remember(f"{column} {'descending' if order is Qt.SortOrder.DescendingOrder else 'ascending'}")
