"""The first segment: the table of all precisions, and the picked one in words beside it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from quantgui.fit.commands import command_for
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.details import Details
from quantgui.gui.fit.table_card import TableCard

SIDE_WIDTH = 300


class FitsPanel(QWidget):
    """`picked` follows the cursor, `chosen` a double click or Enter; both carry the id of a precision."""

    picked = Signal(str)
    chosen = Signal(str)

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self.table = TableCard(state)
        self.table.picked.connect(self.picked)
        self.table.chosen.connect(self.chosen)
        self.details = Details()
        self.details.setFixedWidth(SIDE_WIDTH)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(14)
        row.addWidget(self.table, 1)
        row.addWidget(self.details)

    def show_pick(self, scheme_id: str, best: str) -> None:
        """Draw the newest estimates with this row picked and that one recommended."""
        state = self._state
        self.table.pick(scheme_id, best)
        estimate = next((e for e in state.estimates if e.scheme_id == scheme_id), None)
        if estimate is not None and state.checkpoint is not None:
            command = command_for(estimate, state.checkpoint, state.hardware, state.fit_settings)
            self.details.show_estimate(estimate, command)
