"""A table of equal objects: each column says how it is shown, sorted and explained."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt

from quantgui.gui import glossary, theme

Index = QModelIndex | QPersistentModelIndex
SORT_ROLE = Qt.ItemDataRole.UserRole
ROW_ROLE = Qt.ItemDataRole.UserRole + 1


@dataclass(frozen=True)
class Column:
    """One column of a table of rows of any type. `sort` None sorts by the text; None keys stand last."""

    title: str
    text: Callable[[Any], str]
    sort: Callable[[Any], Any] | None = None
    tip: Callable[[Any], str] | None = None
    right: bool = False  # numbers stand at the right
    word: str = ""  # the glossary's word for the header, where it is not the title


class RowModel(QAbstractTableModel):
    """Holds the rows; nothing is copied out of them. Rows that `is_quiet` are greyed."""

    def __init__(self, columns: Sequence[Column], is_quiet: Callable[[Any], bool] | None = None) -> None:
        super().__init__()
        self._is_quiet = is_quiet
        self.columns = tuple(columns)
        self.rows: tuple[Any, ...] = ()

    def set_rows(self, rows: Sequence[Any]) -> None:
        """Show these rows. Where their number stays the same, selection and scroll position do too."""
        fresh = tuple(rows)
        if len(fresh) == len(self.rows):
            self.rows = fresh
            if fresh:
                self.dataChanged.emit(self.index(0, 0), self.index(len(fresh) - 1, len(self.columns) - 1))
            return
        self.beginResetModel()
        self.rows = fresh
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        """Number of rows; a table has no children."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index | None = None) -> int:
        """Number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text, tooltip, alignment, sort key or the row itself."""
        if not index.isValid():
            return None
        row, column = self.rows[index.row()], self.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return column.text(row)
        if role == Qt.ItemDataRole.ToolTipRole:
            return column.tip(row) if column.tip else None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole:
            return theme.current().color("muted") if self._is_quiet is not None and self._is_quiet(row) else None
        if role == SORT_ROLE:
            return column.sort(row) if column.sort else column.text(row).lower()
        return row if role == ROW_ROLE else None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles, aligned as their columns, explained on hover."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.title
        if role == Qt.ItemDataRole.ToolTipRole:
            return glossary.explain(column.word or column.title) or None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def csv(self, rows: Sequence[Any] | None = None) -> str:
        """These rows (all of them for None) as comma-separated text: raw values where a column has them."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(column.title for column in self.columns)
        for row in self.rows if rows is None else rows:
            writer.writerow(self._raw(column, row) for column in self.columns)
        return out.getvalue()

    @staticmethod
    def _raw(column: Column, row: Any) -> Any:
        value = column.sort(row) if column.sort else None
        return value if isinstance(value, int | float) else column.text(row)


class FilterProxy(QSortFilterProxyModel):
    """Keeps the rows whose columns contain every word of the filter; sorts None last in both directions."""

    def __init__(self, model: RowModel) -> None:
        super().__init__()
        self._model = model
        self._words: tuple[str, ...] = ()
        self.setSourceModel(model)
        self.setSortRole(SORT_ROLE)

    def set_filter(self, text: str) -> None:
        """Show rows with all these words in any column, case ignored."""
        self.beginFilterChange()
        self._words = tuple(text.lower().split())
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        """Whether the row has every word."""
        if not self._words:
            return True
        row = self._model.rows[source_row]
        text = "\n".join(
            f"{column.text(row)}\n{column.tip(row) if column.tip else ''}" for column in self._model.columns
        ).lower()
        return all(word in text for word in self._words)

    def lessThan(self, source_left: Index, source_right: Index) -> bool:
        """Compare sort keys; None counts as the largest when ascending and as the smallest when descending."""
        left, right = source_left.data(SORT_ROLE), source_right.data(SORT_ROLE)
        if left is None or right is None:
            ascending = self.sortOrder() is Qt.SortOrder.AscendingOrder
            return (right is None and left is not None) if ascending else (left is None and right is not None)
        return left < right
