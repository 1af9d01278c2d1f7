"""The first segment: the table of all precisions, and the picked one in words beside it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSplitter, QVBoxLayout, QWidget

from quantgui.fit.commands import command_for
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.details import Details
from quantgui.gui.fit.table_card import TableCard

SHARE, LEAST_SIDE, MOST_SIDE = 0.25, 250, 400
_SIDE = "fit.side"


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
        self.details.setMinimumWidth(LEAST_SIDE)
        self._split = QSplitter()
        self._split.setChildrenCollapsible(False)
        self._split.setHandleWidth(14)
        self._split.addWidget(self.table)
        self._split.addWidget(self.details)
        self._split.setStretchFactor(0, 1)
        self._split.splitterMoved.connect(lambda: state.remember(_SIDE, str(self._split.sizes()[1])))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._split)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the details the width they were left at, else their share."""
        super().resizeEvent(event)
        remembered = self._state.remembered(_SIDE)
        side = int(remembered) if remembered.isdigit() else min(MOST_SIDE, round(SHARE * self.width()))
        self._split.setSizes([self.width() - side, max(LEAST_SIDE, side)])

    def show_pick(self, scheme_id: str, best: str) -> None:
        """Draw the newest estimates with this row picked and that one recommended."""
        state = self._state
        self.table.pick(scheme_id, best)
        estimate = next((e for e in state.estimates if e.scheme_id == scheme_id), None)
        if estimate is not None and state.checkpoint is not None:
            command = command_for(estimate, state.checkpoint, state.hardware, state.fit_settings)
            self.details.show_estimate(estimate, command)
