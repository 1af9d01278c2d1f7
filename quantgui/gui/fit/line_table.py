"""A plain table of a few equal lines, without filter and sort."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from quantgui.gui.widgets.row_model import ROW_ROLE, Column, RowModel

ROW_HEIGHT = 28


class LineTable(QTableView):
    """The last column is as wide as its words; the others share the rest."""

    def __init__(self, columns: Sequence[Column], name: str) -> None:
        super().__init__()
        self._rows = RowModel(columns)
        self.setModel(self._rows)
        self.setAccessibleName(name)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.horizontalHeader().setSectionResizeMode(len(columns) - 1, QHeaderView.ResizeMode.ResizeToContents)

    def set_rows(self, rows: Sequence[Any]) -> None:
        """Show these."""
        self._rows.set_rows(rows)

    def current(self) -> Any | None:
        """The row of the cursor."""
        return self.currentIndex().data(ROW_ROLE)
