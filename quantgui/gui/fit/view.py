"""What fits: every precision against the hardware's limit, other hardware beside it, fine-tuning, and questions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QTabBar, QVBoxLayout, QWidget

from quantgui.fit.budget import budget_of
from quantgui.fit.recommendation import Recommendation
from quantgui.gui.app_state import AppState
from quantgui.gui.commands import use_precision
from quantgui.gui.fit import findings
from quantgui.gui.fit.ask_panel import AskPanel
from quantgui.gui.fit.calibrate_dialog import CalibrateDialog
from quantgui.gui.fit.compare_panel import ComparePanel
from quantgui.gui.fit.controls import Controls
from quantgui.gui.fit.export_menu import export_button
from quantgui.gui.fit.fits_panel import FitsPanel
from quantgui.gui.fit.picture import save_picture
from quantgui.gui.fit.training_panel import TrainingPanel
from quantgui.gui.fit.words import RUNTIMES, name_of
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.empty_state import EmptyState
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.quant.registry import file_rows, rows
from quantgui.types import Checkpoint

TITLE = "What fits?"
FINE_TUNE = "Fine-tune"
_SEGMENT = "fit.segment"
CALIBRATE_TIP = "Compare with the log of a real run, and remember the difference for this device"
NOT_MADE_HERE = "This precision is made by other programs; the command runs it."


class FitPage(PageFrame):
    """Picking a row explains it; "Use" makes it the recipe's base."""

    def __init__(self, state: AppState) -> None:
        super().__init__(TITLE)
        self._state = state
        self._picked = ""
        self._checkpoint: Checkpoint | None = None
        self._best: Recommendation | None = None
        self._export = export_button(state, self._shown_id, self._save_picture, self)
        self._calibrate = button("Calibrate…", self.calibrate, tip=CALIBRATE_TIP)
        self._use_button = button("Use this precision", self._use, primary=True)
        self.buttons.addWidget(self._use_button)
        self.fits = FitsPanel(state)
        self.fits.picked.connect(self._pick)
        self.fits.chosen.connect(self._pick_and_use)
        self._segments: list[tuple[str, Callable[[], QWidget]]] = [
            ("What fits", lambda: self.fits),
            ("Compare hardware", lambda: ComparePanel(state)),
            (FINE_TUNE, lambda: TrainingPanel(state)),
            ("Ask", lambda: AskPanel(state, self._shown_id)),
        ]
        self._made: dict[int, QWidget] = {}
        self._stack = QStackedWidget()
        self._stack.addWidget(self._content())
        self._stack.addWidget(
            EmptyState(
                "fit",
                "No model is open",
                "Open a model to see which precisions fit your hardware.",
                "Try it on the bundled model",
                lambda: state.open_model("demo"),
            )
        )
        self.body.addWidget(self._stack)
        self._order_tabs()
        for signal in (state.fit_changed, state.recipe_changed, state.settings_changed):
            signal.connect(self._show)
        state.checkpoint_changed.connect(self._show_stack)  # its estimates follow
        self._show()

    def _content(self) -> QWidget:
        self._tabs = QTabBar()
        self._tabs.setAccessibleName("Parts of the page")
        self._tabs.setDrawBase(False)
        self._tabs.setExpanding(False)
        for title, _ in self._segments:
            self._tabs.addTab(title)
        self._panels = QStackedWidget()
        self._controls = Controls(self._state)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self._tabs, 1)
        top.addWidget(self._export)
        top.addWidget(self._calibrate)
        column.addLayout(top)
        column.addWidget(self._controls)
        column.addWidget(self._panels, 1)
        column.addStretch(0)  # takes the room while there is nothing to show
        self._tabs.currentChanged.connect(self._show_segment)
        remembered = self._state.remembered(_SEGMENT)
        self._tabs.setCurrentIndex(int(remembered) if remembered.isdigit() else 0)
        self._show_segment(self._tabs.currentIndex())
        return content

    def _order_tabs(self) -> None:
        """Tab follows reading order: what the page is about, its parts, the controls, the table."""
        order = [self._use_button, self._tabs, self._export, self._calibrate, *self._controls.fields]
        for first, second in pairwise((*order, self.fits.table.view)):
            QWidget.setTabOrder(first, second)

    def _show_segment(self, number: int) -> None:
        """Bring a part to the front; it is made when it is first asked for."""
        if number not in self._made:
            self._made[number] = self._segments[number][1]()
            self._panels.addWidget(self._made[number])
        self._panels.setCurrentWidget(self._made[number])
        self._controls.setVisible(self._segments[number][0] != FINE_TUNE)  # which has fields of its own
        self._state.remember(_SEGMENT, str(number))

    def _show_stack(self) -> None:
        self._stack.setCurrentIndex(1 if self._state.checkpoint is None else 0)

    def _show(self) -> None:
        state = self._state
        checkpoint, estimates = state.checkpoint, state.estimates
        self._show_stack()
        if checkpoint is not self._checkpoint:  # what was picked belonged to another model
            self._checkpoint, self._picked = checkpoint, ""
        for widget in (self._export, self._calibrate, self._use_button):
            widget.setVisible(bool(estimates))
        self._panels.setVisible(bool(estimates))
        self.show_error(state.fit.error)
        if checkpoint is None or not estimates:
            self._show_nothing()
            return
        budget = budget_of(state.hardware)
        self._best = findings.recommended(estimates, state.hardware)
        self.set_title(
            findings.headline(self._best, estimates, budget),
            findings.subtitle(checkpoint, state.hardware, state.fit_settings),
        )
        self.fits.show_pick(self._shown_id(), self._best.scheme_id if self._best else "")
        self._show_button()

    def calibrate(self) -> None:
        """Compare the picked row with a log of a real run."""
        shown = self._shown_id()
        CalibrateDialog(self._state, next(e for e in self._state.estimates if e.scheme_id == shown), self).open()

    def _show_nothing(self) -> None:
        """No estimates: say so where a program was chosen that cannot load the model."""
        runtime = self._state.fit_settings.runtime
        is_estimated = self._state.checkpoint is not None and self._state.fit.error is None
        self.set_title(f"Nothing of this model runs in {RUNTIMES[runtime]}" if is_estimated and runtime else TITLE)

    def _save_picture(self, path: Path) -> None:
        view, state = self.fits.table.view, self._state
        if view.scale is not None and state.checkpoint is not None:
            best = self._best.scheme_id if self._best else ""
            below = findings.subtitle(state.checkpoint, state.hardware, state.fit_settings)
            save_picture(path, self.title, below, view.lines.groups, view.scale, best, state.recipe.base.id)

    def _show_button(self) -> None:
        shown = self._shown_id()
        is_ours = any(row.id == shown for row in (*rows(), *file_rows()))
        is_used = self._state.recipe.base.id == shown
        use = "Go to the recipe" if is_used else f"Use {name_of(shown)}"
        self._use_button.setText(use if is_ours else "Copy the command")
        self._use_button.setToolTip("" if is_ours else NOT_MADE_HERE)

    def _shown_id(self) -> str:
        """The picked row, else the recommended one, else the last."""
        ids = [estimate.scheme_id for estimate in self._state.estimates]
        if self._picked in ids:
            return self._picked
        return self._best.scheme_id if self._best else "".join(ids[-1:])

    def _pick(self, scheme_id: str) -> None:
        self._picked = scheme_id
        self._show()

    def _pick_and_use(self, scheme_id: str) -> None:
        self._pick(scheme_id)
        self._use()

    def _use(self) -> None:
        scheme_id = self._shown_id()
        if self._state.recipe.base.id == scheme_id:
            self._state.request_page("recipe")
        elif any(row.id == scheme_id for row in (*rows(), *file_rows())):
            use_precision(self._state, scheme_id)
        else:
            self.fits.details.copy_command()
