"""Below the field of the importance matrix: what its file tells, one that could be used, or the way to compute one."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from quantgui.gui.app_state import AppState
from quantgui.gui.importance.dialog import show_importance_dialog
from quantgui.gui.importance.words import facts_words
from quantgui.gui.job_dialog import progress_words
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.icon_label import IconLabel
from quantgui.gui.widgets.text import small

COMPUTE = "Compute…"


class ImportanceNote(QWidget):
    """Follows the state; lives as long as the form that it stands in."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._icons = {
            "fits": IconLabel("fits", 16, "fits"),
            "tight": IconLabel("tight", 16, "tight"),
            "error": IconLabel("error", 16, "too_large"),
        }
        self._words = small()
        self._use = button("Use it", self._use_offered)
        self._compute = button(COMPUTE, self._open)
        line = QHBoxLayout()
        line.setSpacing(6)
        for icon in self._icons.values():
            line.addWidget(icon, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(self._words, 1)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self._compute)
        buttons.addWidget(self._use)
        buttons.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(line)
        layout.addLayout(buttons)
        for signal in (state.importance.changed, state.plans.changed, state.runs.changed):
            signal.connect(self._show)
        self._show()

    def _show(self) -> None:
        importance = self._state.importance
        icon, words = self._finding()
        for name, widget in self._icons.items():
            widget.setVisible(name == icon)
        self._words.setText(words)
        self._words.setVisible(bool(words))
        self._use.setVisible(importance.job is None and importance.offered is not None)
        self._compute.setText("Show" if importance.job is not None else COMPUTE)
        objection = importance.objection or self._state.runs.busy_words(self._state.runs.importance)
        self._compute.setEnabled(not objection)
        self._compute.setToolTip(objection or "Run a text through the model to see which weights matter.")

    def _finding(self) -> tuple[str, str]:
        """Icon and words of what is known."""
        importance, plan = self._state.importance, self._state.plans.plan
        if importance.job is not None:
            return "", f"Being computed: {progress_words(importance.job)}."
        if importance.chosen is not None and importance.chosen.error is not None:
            return "error", f"{importance.chosen.error.message} {importance.chosen.error.hint}".strip()
        if importance.chosen is not None and importance.chosen.facts is not None:
            return "fits", f"{facts_words(importance.chosen.facts)}."
        offer = ""
        if importance.offered is not None and importance.offered.facts is not None:
            offer = f"There is one: {facts_words(importance.offered.facts)}."
        if plan.needs_imatrix:
            needs = f"{self._state.recipe.base.id} needs one: without it the few bits go to the wrong weights."
            return "tight", f"{needs} {offer}".strip()
        return "", offer

    def _use_offered(self) -> None:
        if self._state.importance.offered is not None:
            self._state.importance.use(self._state.importance.offered.path)

    def _open(self) -> None:
        show_importance_dialog(self._state, self.window())
