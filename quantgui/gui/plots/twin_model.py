"""A TableData as Qt's tables want it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from quantgui import units
from quantgui.gui.plots.table_data import TableData

Index = QModelIndex | QPersistentModelIndex


class TwinModel(QAbstractTableModel):
    """Read only; floats with four significant digits, in full on hover."""

    def __init__(self, data: TableData, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._data = data

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Rows of the table."""
        return 0 if parent.isValid() else len(self._data.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Columns of the table."""
        return 0 if parent.isValid() else len(self._data.columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """One cell."""
        cell = self._data.rows[index.row()][index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            if isinstance(cell, float):
                return f"{cell:.4g}"
            return units.count(cell) if isinstance(cell, int) else cell
        if role == Qt.ItemDataRole.ToolTipRole:
            return None if cell is None else str(cell)
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(cell, str):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation is Qt.Orientation.Horizontal:
            return self._data.columns[section]
        return None
