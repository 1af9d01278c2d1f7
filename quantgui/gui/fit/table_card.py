"""The fit table with its legend: pulls the estimates, and remembers folds and order."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal

from quantgui.fit.budget import budget_of
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.columns import COLUMNS, NAME
from quantgui.gui.fit.groups import ORDER, grouped, order_for
from quantgui.gui.fit.legend import Legend
from quantgui.gui.fit.scale import limits_of
from quantgui.gui.fit.table_view import TableView
from quantgui.gui.widgets.card import Card
from quantgui.types import Checkpoint, HardwareTarget

_UNFOLDED, _SORT, _CLOSED = "fit.unfolded", "fit.sort", "fit.closed"


class TableCard(Card):
    """`picked` and `chosen` carry the id of a precision."""

    picked = Signal(str)
    chosen = Signal(str)

    def __init__(self, state: AppState) -> None:
        super().__init__(margins=(8, 12, 6, 8))
        self._state = state
        self._picked = self._best = ""
        self._order: Sequence[str] = ORDER
        self._ordered_for: tuple[Checkpoint | None, HardwareTarget] | None = None
        self._unfolded = set(filter(None, state.remembered(_UNFOLDED).split(",")))
        self._sort = _sort_from(state.remembered(_SORT))
        self.legend = Legend()
        self.view = TableView()
        self.view.close_groups(list(filter(None, state.remembered(_CLOSED).split(","))))
        self.view.show_sort(*self._sort)
        self.view.picked.connect(self.picked)
        self.view.chosen.connect(self.chosen)
        self.view.unfold_asked.connect(self._toggle_fold)
        self.view.sort_changed.connect(self._sort_by)
        for signal in (self.view.expanded, self.view.collapsed):
            signal.connect(lambda _: state.remember(_CLOSED, ",".join(self.view.closed_groups)))
        self.legend.setContentsMargins(8, 0, 0, 0)
        self.body.addWidget(self.legend)
        self.body.addWidget(self.view, 1)

    def pick(self, scheme_id: str, best: str) -> None:
        """Mark a row, and give another one the star."""
        self._picked, self._best = scheme_id, best
        self._put_in_order()
        self.refresh()

    def refresh(self) -> None:
        """Draw the newest estimates. Raises UserError where nothing is known of the hardware's memory."""
        state = self._state
        recipe = state.recipe.base.id
        column, descending = self._sort
        keep = {self._picked, self._best, recipe}
        groups = grouped(state.estimates, self._unfolded, keep, COLUMNS[column].sort, descending, self._order)
        self.view.show_groups(groups, limits_of(budget_of(state.hardware)), self._picked, self._best, recipe)

    def _put_in_order(self) -> None:
        """Order the groups anew for another model or hardware; they stay where they are while a slider moves."""
        state = self._state
        situation = (state.checkpoint, state.hardware)
        if situation != self._ordered_for:
            self._ordered_for = situation
            best = next((row for row in state.estimates if row.scheme_id == self._best), None)
            self._order = order_for(state.hardware, best)

    def _toggle_fold(self, group: str) -> None:
        self._unfolded ^= {group}
        self._state.remember(_UNFOLDED, ",".join(sorted(self._unfolded)))
        self.refresh()

    def _sort_by(self, column: int, descending: bool) -> None:
        self._sort = (column, descending)
        self._state.remember(_SORT, f"{column},{int(descending)}")
        self.refresh()


def _sort_from(text: str) -> tuple[int, bool]:
    """Column and direction as they were remembered; by bits, most first, where nothing was."""
    column, _, descending = text.partition(",")
    known = column.isdigit() and int(column) < len(COLUMNS)
    return (int(column), descending == "1") if known else (NAME, True)
