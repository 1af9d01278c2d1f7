"""A table with a filter above it: sortable, copyable, and it remembers how it was arranged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QEvent, QModelIndex, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from quantgui.gui import formatting
from quantgui.gui.widgets.row_model import ROW_ROLE, Column, FilterProxy, RowModel
from quantgui.gui.widgets.text import small

ROW_HEIGHT = 30
_KEYS_FOR_TABLE = (Qt.Key.Key_Up, Qt.Key.Key_Down)


class SearchTable(QWidget):
    """`selected` follows the current row, `chosen` a double click or Enter. Rows that `is_quiet` are greyed."""

    selected = Signal(object)
    chosen = Signal(object)

    def __init__(
        self,
        columns: Sequence[Column],
        name: str,
        *,
        filter_hint: str = "Filter",
        noun: str = "row",
        is_quiet: Callable[[Any], bool] | None = None,
    ) -> None:
        super().__init__()
        self._noun = noun
        self.model = RowModel(columns, is_quiet)
        self._proxy = FilterProxy(self.model)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(filter_hint)
        self.filter.setAccessibleName(f"{filter_hint}: {name}")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._filter)
        self.filter.returnPressed.connect(self._choose_hit)
        self.filter.installEventFilter(self)
        self._count = small(wrap=False)
        self.view = self._make_view(name)
        self.bar = QHBoxLayout()
        self.bar.addWidget(self.filter, 1)
        self.bar.addWidget(self._count)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(self.bar)
        layout.addWidget(self.view, 1)

    def set_rows(self, rows: Sequence[Any]) -> None:
        """Show these rows."""
        self.model.set_rows(rows)
        self._show_count()

    def current(self) -> Any | None:
        """The row of the cursor."""
        return self.view.currentIndex().data(ROW_ROLE)

    def select(self, row: Any) -> None:
        """Move the cursor to `row` without saying so; nothing happens where it is not shown."""
        if row == self.current() or row not in self.model.rows:
            return
        index = self._proxy.mapFromSource(self.model.index(self.model.rows.index(row), 0))
        if index.isValid():
            self.view.selectionModel().blockSignals(True)
            self.view.setCurrentIndex(index)
            self.view.selectionModel().blockSignals(False)
            self.view.viewport().update()

    def visible_rows(self) -> list[Any]:
        """Rows in the order shown, without those filtered out."""
        return [self._proxy.index(i, 0).data(ROW_ROLE) for i in range(self._proxy.rowCount())]

    def set_widths(self, *widths: int) -> None:
        """Width of each column in pixels; 0 for the one that takes the rest."""
        header = self.view.horizontalHeader()
        for column, width in enumerate(widths):
            if width:
                header.resizeSection(column, width)
            else:
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)

    def arrangement(self) -> str:
        """Widths and sort order as text."""
        return bytes(self.view.horizontalHeader().saveState().toBase64().data()).decode()

    def restore_arrangement(self, text: str) -> None:
        """Take up what `arrangement` gave; "" changes nothing."""
        if text:
            self.view.horizontalHeader().restoreState(QByteArray.fromBase64(text.encode()))

    def csv(self) -> str:
        """What is shown, as comma-separated text."""
        return self.model.csv(self.visible_rows())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows typed into the filter move in the table."""
        if isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress and event.key() in _KEYS_FOR_TABLE:
            self._step(0 if not self.view.currentIndex().isValid() else 1 if event.key() == Qt.Key.Key_Down else -1)
            return True
        return super().eventFilter(watched, event)

    def _step(self, rows: int) -> None:
        row = max(0, min(self._proxy.rowCount() - 1, max(0, self.view.currentIndex().row()) + rows))
        self.view.setCurrentIndex(self._proxy.index(row, 0))

    def _choose_hit(self) -> None:
        """Enter in the filter takes the current row, or the first one that is left."""
        self._step(0)
        if self.current() is not None:
            self.chosen.emit(self.current())

    def _make_view(self, name: str) -> QTableView:
        view = QTableView()
        view.setModel(self._proxy)
        view.setAccessibleName(name)
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setSortingEnabled(True)
        view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        view.setShowGrid(False)
        view.setAlternatingRowColors(True)
        view.setWordWrap(False)
        view.setTabKeyNavigation(False)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        view.horizontalHeader().setHighlightSections(False)
        view.horizontalHeader().setMinimumSectionSize(40)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._menu)
        view.selectionModel().currentRowChanged.connect(self._moved)
        view.activated.connect(lambda index: self.chosen.emit(index.data(ROW_ROLE)))
        copy = QAction("Copy rows", view)
        copy.setShortcut(QKeySequence.StandardKey.Copy)
        copy.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        copy.triggered.connect(self._copy)
        view.addAction(copy)
        return view

    def _moved(self, current: QModelIndex, previous: QModelIndex) -> None:
        if current.isValid():
            self.selected.emit(current.data(ROW_ROLE))

    def _filter(self, text: str) -> None:
        self._proxy.set_filter(text)
        self._show_count()

    def _show_count(self) -> None:
        shown, total = self._proxy.rowCount(), len(self.model.rows)
        noun = self._noun if total == 1 else f"{self._noun}s"
        text = f"{formatting.count(total)} {noun}"
        self._count.setText(text if shown == total else f"{formatting.count(shown)} of {text}")

    def _menu(self, position: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction("Copy rows", self._copy)
        menu.addAction("Save as CSV…", self._save)
        menu.exec(self.view.viewport().mapToGlobal(position))
        menu.deleteLater()

    def _copy(self) -> None:
        rows = [index.data(ROW_ROLE) for index in self.view.selectionModel().selectedRows()]
        QGuiApplication.clipboard().setText(self.model.csv(rows))

    def _save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save as CSV", str(Path.home() / f"{self._noun}s.csv"), "CSV (*.csv)"
        )
        if path:
            Path(path).write_text(self.csv(), encoding="utf-8")
