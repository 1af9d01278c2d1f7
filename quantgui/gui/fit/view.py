"""What fits: memory per precision against the hardware's limit, following the sliders."""

from __future__ import annotations

from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from quantgui.fit.budget import budget_of
from quantgui.fit.settings import KV_TYPES, MAX_BATCH, MAX_CONTEXT
from quantgui.gui import formatting, glossary
from quantgui.gui.app_state import AppState
from quantgui.gui.commands import use_precision
from quantgui.gui.fit import findings
from quantgui.gui.fit.details import Details
from quantgui.gui.fit.fit_chart import FitChart
from quantgui.gui.fit.power_field import PowerField
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.empty_state import EmptyState
from quantgui.gui.widgets.foldable import Foldable
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.types import Checkpoint, UserError

SIDE_WIDTH = 300
LOWEST_CONTEXT, HIGHEST_CONTEXT = 9, 20  # exponents of two: 512 tokens to a million
HIGHEST_BATCH = 8
_FOLD = "fit.advanced"


class FitPage(PageFrame):
    """Picking a row explains it; "Use" makes it the recipe's base."""

    def __init__(self, state: AppState) -> None:
        super().__init__("What fits?")
        self._state = state
        self._picked = ""
        self._use_button = button("Use this precision", self._use, primary=True)
        self.buttons.addWidget(self._use_button)
        self._context = PowerField("Context", "Context", LOWEST_CONTEXT, HIGHEST_CONTEXT, MAX_CONTEXT)
        self._context.changed.connect(lambda value: state.change_fit(context=value))
        self._batch = PowerField("Batch", "Batch", 0, HIGHEST_BATCH, MAX_BATCH)
        self._batch.changed.connect(lambda value: state.change_fit(batch=value))
        self._chart = FitChart(state)
        self._chart.picked.connect(self._pick)
        self._chart.chosen.connect(self._pick_and_use)
        self._chart.failed.connect(state.message)
        self._details = Details()
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
        for signal in (state.fit_changed, state.hardware_changed, state.recipe_changed, state.settings_changed):
            signal.connect(self._show)
        state.checkpoint_changed.connect(self._forget_pick)
        self._show()

    def _content(self) -> QWidget:
        chart = Card()
        chart.body.addWidget(self._chart)
        controls = Card("Usage")
        controls.body.addWidget(self._context)
        controls.body.addWidget(self._batch)
        controls.body.addWidget(self._advanced())
        holder = QWidget()
        holder.setFixedWidth(SIDE_WIDTH)
        side = QVBoxLayout(holder)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(14)
        side.addWidget(controls)
        side.addWidget(self._details, 1)
        content = QWidget()
        row = QHBoxLayout(content)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(14)
        row.addWidget(chart, 1)
        row.addWidget(holder)
        return content

    def _advanced(self) -> Foldable:
        state = self._state
        self._kv = QComboBox()
        self._kv.addItems(list(KV_TYPES))
        self._kv.setAccessibleName("Type of the KV cache")
        self._kv.setToolTip(glossary.explain("KV cache"))
        self._kv.currentTextChanged.connect(lambda text: state.change_fit(kv_dtype=text))
        fold = Foldable(
            "Advanced", is_open=state.remembered(_FOLD) == "open", remember=lambda text: state.remember(_FOLD, text)
        )
        form = QFormLayout()
        form.addRow("KV cache type", self._kv)
        fold.body.addLayout(form)
        return fold

    def _forget_pick(self) -> None:
        self._picked = ""
        self._show()

    def _show(self) -> None:
        state = self._state
        checkpoint, estimates = state.checkpoint, state.estimates
        self._stack.setCurrentIndex(1 if checkpoint is None else 0)
        self._show_settings(checkpoint)
        self._use_button.setVisible(bool(estimates))
        if checkpoint is None or not estimates:
            self.set_title("What fits?")
            self._chart.refresh()
            return
        try:
            budget = budget_of(state.hardware)
        except UserError as error:
            self.show_error(error)
            return
        self.set_title(
            findings.headline(checkpoint, estimates, budget, state.fit_settings.context),
            f"{checkpoint.name} on {state.hardware.name}. Derived from the model's shapes.",
        )
        best = findings.recommended(checkpoint, estimates)
        shown = next((e for e in estimates if e.scheme_id == self._picked), best or estimates[-1])
        self._details.show_estimate(shown)
        self._chart.pick(shown.scheme_id)
        used = state.recipe.base.id == shown.scheme_id
        self._use_button.setText("Go to the recipe" if used else f"Use {shown.scheme_id}")

    def _show_settings(self, checkpoint: Checkpoint | None) -> None:
        settings = self._state.fit_settings
        self._context.set_value(settings.context)
        self._batch.set_value(settings.batch)
        self._kv.blockSignals(True)
        self._kv.setCurrentText(settings.kv_dtype)
        self._kv.blockSignals(False)
        made_for = checkpoint.config.context_length if checkpoint and checkpoint.config else None
        beyond = made_for is not None and settings.context > made_for
        self._context.set_note(f"The model was made for {formatting.count(made_for)} tokens." if beyond else "")

    def _shown_id(self) -> str:
        best = findings.recommended(self._state.checkpoint, self._state.estimates) if self._state.checkpoint else None
        return self._picked or (best.scheme_id if best else "")

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
        else:
            use_precision(self._state, scheme_id)
