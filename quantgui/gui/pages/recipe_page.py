"""Which precision each tensor gets: a base, exceptions, and the table of what comes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
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
from quantgui.gui.pages import Page
from quantgui.gui.recipe.files import open_recipe, save_recipe
from quantgui.gui.recipe.parameter_form import ParameterForm
from quantgui.gui.recipe.plan import RecipePlan, clear_override, finding, make_plan, override
from quantgui.gui.recipe.rule_list import RuleList
from quantgui.gui.recipe.scheme_list import SchemeList
from quantgui.gui.recipe.tensor_table import TensorModel, TensorTable
from quantgui.gui.widgets.buttons import button, icon_button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.empty_state import EmptyState
from quantgui.gui.widgets.foldable import Foldable
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.gui.widgets.text import muted
from quantgui.quant.registry import row, rows
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.presets import PRESETS, Preset
from quantgui.schemes.recipe import Rule, SchemeSpec
from quantgui.types import UserError

LEFT_WIDTH = 332
FILE_FILTER = "QuantGUI recipe (*.json)"


class RecipePage(QWidget):
    """Reads checkpoint, recipe and estimates from the state; writes nothing but the recipe."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._plan = RecipePlan()
        self._form_key: object = None
        self._frame = PageFrame("Recipe")
        self._model = TensorModel()
        self._table = TensorTable(self._model)
        self._schemes = SchemeList(rows())
        self._rules = RuleList([r.id for r in rows()])
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
        stacked.addWidget(self._rules_card())
        stacked.addWidget(self._tensors_card(), 1)
        columns.addWidget(_scrolling(self._base_card(), LEFT_WIDTH))
        columns.addWidget(right)
        columns.setStretchFactor(1, 1)
        columns.setSizes([LEFT_WIDTH, 1000])
        self._frame.body.addWidget(columns, 1)

    def _base_card(self) -> Card:
        card = Card("Precision")
        self._summary = muted()
        self._settings = QVBoxLayout()
        card.body.addWidget(self._schemes)
        card.body.addWidget(self._summary)
        card.body.addLayout(self._settings)
        card.body.addStretch(1)
        return card

    def _rules_card(self) -> Card:
        card = Card("Exceptions")
        presets = QMenu(self)
        presets.setToolTipsVisible(True)
        for preset in PRESETS:
            action = presets.addAction(preset.title)
            action.setToolTip(preset.help)
            action.triggered.connect(lambda _=False, chosen=preset: self._apply(chosen))
        menu = button("Presets", icon="plus", tip="Ready-made mixed precision")
        menu.setMenu(presets)
        card.header.addWidget(menu)
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
        self._override.setMenu(self._override_menu())
        self._override.setEnabled(False)
        self._tensors.header.addWidget(search)
        self._tensors.header.addWidget(self._override)
        self._tensors.body.addWidget(self._table, 1)
        return self._tensors

    def _override_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addAction("As the recipe says", lambda: self._override_selected("recipe"))
        menu.addAction("Keep as it is", lambda: self._override_selected(None))
        menu.addSeparator()
        for scheme in rows():
            menu.addAction(f"{scheme.id}   {scheme.title}", lambda chosen=scheme.id: self._override_selected(chosen))
        return menu

    def _connect(self) -> None:
        self._state.checkpoint_changed.connect(self._show_checkpoint)
        self._state.recipe_changed.connect(self._show_recipe)
        self._state.fit_changed.connect(self._show_estimates)
        self._schemes.chosen.connect(self._choose_base)
        self._rules.changed.connect(self._set_rules)
        self._table.selectionModel().selectionChanged.connect(self._selection_changed)
        self._table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._table.customContextMenuRequested.connect(self._popup)

    # --- showing ------------------------------------------------------------------------------------------------

    def _show_checkpoint(self) -> None:
        self._stack.setCurrentIndex(0 if self._state.checkpoint is None else 1)
        self._show_estimates()
        self._show_recipe()

    def _show_estimates(self) -> None:
        self._schemes.show_estimates(self._state.estimates)

    def _show_recipe(self) -> None:
        checkpoint, recipe = self._state.checkpoint, self._state.recipe
        self._undo.setEnabled(self._state.can_undo)
        self._redo.setEnabled(self._state.can_redo)
        self._schemes.show_choice(recipe.base.id)
        self._show_base(recipe.base)
        if checkpoint is None:
            return
        self._plan = plan = make_plan(checkpoint, recipe)
        self._rules.show_rules(recipe.rules, plan.matches)
        self._model.set_tensors(plan.tensors)
        self._frame.show_error(plan.error)
        if plan.error is None:
            self._frame.set_title(finding(plan, recipe), _subtitle(plan))
        else:
            self._frame.set_title("This recipe cannot be used yet")
        changed = sum(p.assignment.scheme is not None for p in plan.tensors)
        self._tensors.set_title(f"{units.count(changed)} of {units.count(len(plan.tensors))} tensors change")

    def _show_base(self, spec: SchemeSpec) -> None:
        """The summary and the form; the form stays as it is while the person is typing into it."""
        try:
            chosen = row(spec.id)
        except UserError as error:
            self._summary.setText(error.message)
            return
        self._summary.setText(f"{chosen.summary} Loaded by {' and '.join(chosen.runtimes)}.")
        key = (spec.id, tuple(sorted(spec.parameters.items())))
        if key == self._form_key:
            return
        self._form_key = key
        _clear(self._settings)
        basic = [p for p in chosen.parameters if not p.advanced]
        advanced = [p for p in chosen.parameters if p.advanced]
        if basic:
            self._settings.addWidget(self._form(spec, basic))
        if advanced:
            fold = Foldable(
                "Advanced",
                is_open=self._state.remembered("recipe.advanced") == "open",
                remember=lambda how: self._state.remember("recipe.advanced", how),
            )
            fold.body.addWidget(self._form(spec, advanced))
            self._settings.addWidget(fold)

    def _form(self, spec: SchemeSpec, parameters: list[Parameter]) -> ParameterForm:
        form = ParameterForm(row(spec.id), parameters, spec.parameters)
        form.changed.connect(lambda values: self._set_parameters(spec.id, values))
        return form

    # --- changing -----------------------------------------------------------------------------------------------

    def _choose_base(self, scheme_id: str) -> None:
        if scheme_id != self._state.recipe.base.id:
            self._state.set_recipe(replace(self._state.recipe, base=SchemeSpec(scheme_id), name=""))

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
            self._override.menu().popup(self._table.viewport().mapToGlobal(position))

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


def _subtitle(plan: RecipePlan) -> str:
    if not plan.problems:
        return "All tensors with their scales, just as the files will hold them; a file adds its header of some kB."
    stay = "tensor stays as it is" if plan.problems == 1 else "tensors stay as they are"
    return f"{plan.problems} {stay}, marked in the table. {plan.commonest_problem}"


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


def _clear(layout: QVBoxLayout | QHBoxLayout) -> None:
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()
            widget.deleteLater()


PAGE = Page(
    "recipe",
    "Recipe",
    30,
    "recipe",
    "Ctrl+3",
    RecipePage,
    tip="Which tensor gets which precision, and what that makes of the model's size.",
)
