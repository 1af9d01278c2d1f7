"""Which precision each tensor gets: a base, exceptions, and the table of what comes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QLineEdit,
    QMenu,
    QScrollArea,
    QSplitter,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.commands import use_precision
from quantgui.gui.importance.note import ImportanceNote
from quantgui.gui.importance_state import PARAMETER as IMATRIX
from quantgui.gui.pages import Page
from quantgui.gui.recipe.advice import answers
from quantgui.gui.recipe.advice_card import AdviceCard
from quantgui.gui.recipe.files import open_recipe, save_recipe
from quantgui.gui.recipe.plan import (
    RecipePlan,
    clear_override,
    finding,
    first_rule,
    override,
    rule_choices,
)
from quantgui.gui.recipe.precision_card import PrecisionCard
from quantgui.gui.recipe.rule_list import RuleList
from quantgui.gui.recipe.tensor_table import TensorModel, TensorTable
from quantgui.gui.run_times import time_words
from quantgui.gui.widgets.buttons import button, icon_button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.empty_state import EmptyState
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.quant.registry import rows
from quantgui.schemes.parameters import ParameterValue
from quantgui.schemes.presets import Preset
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError

LEFT_WIDTH = 332
FILE_FILTER = "QuantGUI recipe (*.json)"


class RecipePage(QWidget):
    """Reads checkpoint, recipe and estimates from the state; writes nothing but the recipe."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._frame = PageFrame("Recipe")
        self._model = TensorModel()
        self._table = TensorTable(self._model)
        self._precision = PrecisionCard(state.remembered, state.remember, {IMATRIX: lambda: ImportanceNote(state)})
        self._advice = AdviceCard(
            is_open=state.remembered("recipe.advice") != "closed",
            remember=lambda how: state.remember("recipe.advice", how),
        )
        self._rules = RuleList(rule_choices(state.recipe), first_rule(state.recipe))
        self._stack = QStackedLayout(self)
        self._stack.addWidget(
            EmptyState(
                "recipe",
                "No model is open",
                "A recipe says which tensor gets which precision. Open a model to see what it would do to it.",
                "Try it on the bundled model",
                lambda: state.open_model("demo"),
            )
        )
        self._stack.addWidget(self._frame)
        self._add_actions()
        self._add_body()
        self._connect()
        self._show_checkpoint()

    # --- building -----------------------------------------------------------------------------------------------

    def _add_actions(self) -> None:
        state = self._state
        self._undo = icon_button("undo", "Undo (Ctrl+Z)", state.undo_recipe)
        self._redo = icon_button("redo", "Redo (Ctrl+Shift+Z)", state.redo_recipe)
        for widget in (
            self._undo,
            self._redo,
            icon_button("open", "Open a recipe file", self._open),
            icon_button("save", "Save this recipe to a file", self._save),
            button("Go to Run", lambda: state.request_page("run"), icon="run", primary=True),
        ):
            self._frame.buttons.addWidget(widget)
        for keys, command in (
            (QKeySequence.StandardKey.Undo, state.undo_recipe),
            (QKeySequence.StandardKey.Redo, state.redo_recipe),
        ):
            shortcut = QShortcut(QKeySequence(keys), self, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(command)

    def _add_body(self) -> None:
        columns = QSplitter(Qt.Orientation.Horizontal)
        columns.setChildrenCollapsible(False)
        columns.setHandleWidth(14)
        right = QWidget()
        stacked = QVBoxLayout(right)
        stacked.setContentsMargins(0, 0, 0, 0)
        stacked.setSpacing(14)
        stacked.addWidget(self._advice)
        stacked.addWidget(self._rules_card())
        stacked.addWidget(self._tensors_card(), 1)
        columns.addWidget(_scrolling(self._precision, LEFT_WIDTH))
        columns.addWidget(right)
        columns.setStretchFactor(1, 1)
        columns.setSizes([LEFT_WIDTH, 1000])
        self._frame.body.addWidget(columns, 1)

    def _rules_card(self) -> Card:
        card = Card("Exceptions")
        card.header.addWidget(button("Add exception", self._rules.add, icon="plus"))
        card.body.addWidget(self._rules)
        return card

    def _tensors_card(self) -> Card:
        self._tensors = Card("Tensors")
        search = QLineEdit()
        search.setPlaceholderText("Filter tensors")
        search.setAccessibleName("Filter tensors")
        search.setClearButtonEnabled(True)
        search.setMinimumWidth(90)
        search.setMaximumWidth(200)
        search.textChanged.connect(self._table.filter.setFilterFixedString)
        self._override = button("Change precision", tip="Give the selected tensors a precision of their own")
        self._choices = QMenu(self)
        self._choices.aboutToShow.connect(self._fill_choices)
        self._override.setMenu(self._choices)
        self._override.setEnabled(False)
        self._tensors.header.addWidget(search)
        self._tensors.header.addWidget(self._override)
        self._tensors.body.addWidget(self._table, 1)
        return self._tensors

    def _fill_choices(self) -> None:
        menu = self._choices
        menu.clear()
        menu.addAction("As the recipe says", lambda: self._override_selected("recipe"))
        menu.addAction("Keep as it is", lambda: self._override_selected(None))
        menu.addSeparator()
        titles = {row.id: row.title for row in rows()}
        for name in rule_choices(self._state.recipe):
            words = f"{name}   {titles.get(name, '')}".rstrip()
            menu.addAction(words, lambda chosen=name: self._override_selected(chosen))

    def _connect(self) -> None:
        self._state.checkpoint_changed.connect(self._show_checkpoint)
        self._state.recipe_changed.connect(self._show_recipe)
        self._state.plans.changed.connect(self._show_plan)
        self._state.fit_changed.connect(self._show_estimates)
        self._state.hardware_changed.connect(self._show_estimates)
        self._state.runs_changed.connect(self._show_plan)  # it has taught how long the next one takes
        self._precision.chosen.connect(self._choose_base)
        self._precision.parameters_changed.connect(self._set_parameters)
        self._precision.preset_chosen.connect(self._apply)
        self._advice.chosen.connect(lambda spec: self._state.set_recipe(Recipe(spec)))
        self._rules.changed.connect(self._set_rules)
        self._table.selectionModel().selectionChanged.connect(self._selection_changed)
        self._table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._table.customContextMenuRequested.connect(self._popup)

    # --- showing ------------------------------------------------------------------------------------------------

    def _show_checkpoint(self) -> None:
        self._stack.setCurrentIndex(0 if self._state.checkpoint is None else 1)
        self._show_estimates()
        self._show_recipe()
        self._show_plan()

    def _show_estimates(self) -> None:
        state = self._state
        estimates = state.fit.every_program  # the Fit page may show one program alone; a recipe is for any
        self._precision.show_estimates(estimates)
        if state.checkpoint is not None:
            runtime = state.fit_settings.runtime
            self._advice.show_answers(answers(state.checkpoint, state.hardware, estimates, runtime))

    def _show_recipe(self) -> None:
        recipe = self._state.recipe
        self._undo.setEnabled(self._state.can_undo)
        self._redo.setEnabled(self._state.can_redo)
        self._precision.show_base(recipe.base)

    def _show_plan(self) -> None:
        """What the recipe will do; a large model's plan comes a moment after the recipe."""
        plans, checkpoint, recipe = self._state.plans, self._state.checkpoint, self._state.recipe
        self._rules.set_choices(rule_choices(recipe), first_rule(recipe))
        self._rules.show_rules(recipe.rules, () if plans.is_pending else plans.plan.matches)
        if checkpoint is not None and plans.is_pending:
            self._frame.set_title(f"Planning {units.count(len(checkpoint.tensors))} tensors …")
            return
        plan = plans.plan
        self._model.set_tensors(plan.tensors)
        self._frame.show_error(plan.error)
        if plan.error is None:
            self._frame.set_title(finding(plan, recipe), self._subtitle(plan))
        else:
            self._frame.set_title("This recipe cannot be used yet")
        self._tensors.set_title(f"{units.count(plan.changed)} of {units.count(len(plan.tensors))} tensors change")

    def _subtitle(self, plan: RecipePlan) -> str:
        seconds = self._state.runs.times.predict(
            self._state.recipe, plan.quantized_weights, self._state.settings.device
        )
        if plan.problems:
            stay = "tensor stays as it is" if plan.problems == 1 else "tensors stay as they are"
            what = f"{plan.problems} {stay}, marked in the table. {plan.commonest_problem}"
        else:
            what = "Tensors with their scales, just as the files will hold them."
        return f"{what} Time: {time_words(seconds)}."

    # --- changing -----------------------------------------------------------------------------------------------

    def _choose_base(self, scheme_id: str) -> None:
        if scheme_id != self._state.recipe.base.id:
            use_precision(self._state, scheme_id)

    def _set_parameters(self, scheme_id: str, values: dict[str, ParameterValue]) -> None:
        self._state.set_recipe(replace(self._state.recipe, base=SchemeSpec(scheme_id, values), name=""))

    def _set_rules(self, rules: tuple[Rule, ...]) -> None:
        self._state.set_recipe(replace(self._state.recipe, rules=rules))

    def _apply(self, preset: Preset) -> None:
        if self._state.checkpoint is not None:
            self._state.set_recipe(preset.apply(self._state.checkpoint, self._state.recipe))

    def _override_selected(self, choice: str | None) -> None:
        """Give the selected tensors the precision `choice`; None keeps them, "recipe" takes their exception away."""
        names, recipe = self._table.selected_names(), self._state.recipe
        if choice == "recipe":
            self._state.set_recipe(clear_override(recipe, names))
        else:
            self._state.set_recipe(override(recipe, names, SchemeSpec(choice) if choice else None))

    def _selection_changed(self) -> None:
        names = self._table.selected_names()
        self._override.setEnabled(bool(names))
        if len(names) == 1:
            self._state.select_tensor(names[0])

    def _popup(self, position: QPoint) -> None:
        if self._table.selected_names():
            self._choices.popup(self._table.viewport().mapToGlobal(position))

    # --- files --------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a recipe", "", FILE_FILTER)
        if path:
            self.open_file(Path(path))

    def open_file(self, path: Path) -> None:
        """Make the recipe in `path` the current one; what is wrong with it is said below the title."""
        try:
            recipe = open_recipe(path)
        except UserError as error:
            self._frame.show_error(error)
        else:
            self._state.set_recipe(recipe)

    def _save(self) -> None:
        name = self._state.recipe.name or self._state.recipe.base.id
        path, _ = QFileDialog.getSaveFileName(self, "Save this recipe", str(Path.home() / f"{name}.json"), FILE_FILTER)
        if path:
            self.save_file(Path(path))

    def save_file(self, path: Path) -> None:
        """Write the current recipe to `path`."""
        try:
            save_recipe(path, self._state.recipe)
        except UserError as error:
            self._frame.show_error(error)


def _scrolling(content: QWidget, width: int) -> QScrollArea:
    """`content` in a column that scrolls where the window is too low for it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setMinimumWidth(width)
    area.setAccessibleName("Precision and its settings")
    area.setWidget(content)
    return area


PAGE = Page(
    "recipe",
    "Recipe",
    30,
    "recipe",
    RecipePage,
    tip="Which tensor gets which precision, and what that makes of the model's size.",
)
