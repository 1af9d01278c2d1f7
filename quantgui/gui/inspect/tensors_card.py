"""All tensors of a run in a table that can be filtered, sorted and exported."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QFileDialog, QLineEdit, QMenu, QToolButton

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.saving import save_file
from quantgui.gui.tensor_table import OF_A_CALIBRATION, TensorTable
from quantgui.gui.tensor_view import TensorView
from quantgui.gui.widgets.buttons import icon_button
from quantgui.gui.widgets.card import Card
from quantgui.jobs.report_log import ReportLog
from quantgui.types import Role, UserError

SORT_KEY = "inspect.sort"
COLUMNS_KEY = "inspect.columns"
BY_FLOW = "0 ascending"
OF_A_CHANGE = frozenset(("Scheme", "SQNR", "Max error", "After", "Cosine", "MSE", "Clipped", "To zero"))
"""Columns that have nothing to say about a model that was only measured."""
ROLES = {
    Role.ATTENTION: "Attention",
    Role.MLP: "MLP",
    Role.EXPERT: "Experts",
    Role.EMBEDDING: "Embeddings",
    Role.HEAD: "Head",
    Role.NORM: "Norms",
    Role.ROUTER: "Routers",
    Role.STATE: "State",
    Role.OTHER: "Other",
}


class TensorsCard(Card):
    """`chosen` follows the person's selection; the heading says how many tensors the filter lets through."""

    chosen = Signal(str)  # full name
    failed = Signal(object)  # UserError

    def __init__(self, state: AppState) -> None:
        super().__init__("Tensors")
        self._state = state
        self._reports = ReportLog()
        self.model = TensorTable(self)
        self.view = TensorView(self.model, remember=lambda order: state.remember(SORT_KEY, order))
        self._search = QLineEdit()
        self._search.setPlaceholderText("Filter tensors")
        self._search.setAccessibleName("Filter tensors")
        self._search.setClearButtonEnabled(True)
        self._search.setMinimumWidth(90)
        self._search.setMaximumWidth(190)
        self._roles = QComboBox()
        self._roles.setAccessibleName("Filter by role")
        self._roles.addItem("All roles", None)
        for role, words in ROLES.items():
            self._roles.addItem(words, role)
        menu = icon_button("more", "Columns and export of the table")
        menu.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu.setMenu(self._make_menu())
        for widget in (self._search, self._roles, menu):
            self.header.addWidget(widget)
        self.body.addWidget(self.view, 1)
        self._search.textChanged.connect(self._filter)
        self._roles.currentIndexChanged.connect(self._filter)
        self.view.chosen.connect(self.chosen)
        self.view.sort_by(state.remembered(SORT_KEY) or BY_FLOW)
        self.view.show_all_columns(state.remembered(COLUMNS_KEY) == "all")

    def show_reports(self, reports: ReportLog, selected: str | None, *, is_changed: bool = True) -> None:
        """Follow these reports and mark the selected tensor; `is_changed` says whether there is a before and after."""
        self._reports = reports
        self.model.show(reports)
        is_calibrated = any(report.output_error is not None for report in reports.values())
        self.view.leave_out((*(() if is_changed else OF_A_CHANGE), *(() if is_calibrated else OF_A_CALIBRATION)))
        self.view.select(selected)
        self._count()

    def save(self, path: Path) -> None:
        """Write what is shown as CSV. Raises UserError."""
        save_file(path, self.model.table().to_csv().encode(), "The table")

    def _make_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction("Copy as CSV", lambda: QGuiApplication.clipboard().setText(self.model.table().to_csv()))
        menu.addAction("Save CSV…", self._ask_and_save)
        menu.addSeparator()
        every = menu.addAction("Show every column")
        every.setCheckable(True)
        every.setChecked(self._state.remembered(COLUMNS_KEY) == "all")
        every.toggled.connect(self._show_all_columns)
        return menu

    def _show_all_columns(self, is_wanted: bool) -> None:
        self._state.remember(COLUMNS_KEY, "all" if is_wanted else "")
        self.view.show_all_columns(is_wanted)

    def _ask_and_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save the table", str(Path.home() / "tensors.csv"), "*.csv")
        if name:
            try:
                self.save(Path(name))
            except UserError as error:
                self.failed.emit(error)

    def _filter(self) -> None:
        self.model.set_filter(self._search.text(), self._roles.currentData())
        self._count()

    def _count(self) -> None:
        shown, total = self.model.rowCount(), len(self._reports)
        words = (
            f"{units.count(total)} tensors"
            if shown == total
            else f"{units.count(shown)} of {units.count(total)} tensors"
        )
        self.set_title(words)
