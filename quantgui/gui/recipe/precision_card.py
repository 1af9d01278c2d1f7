"""The recipe's base: presets, the precisions by kind, and the settings of the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QMenu, QVBoxLayout, QWidget, QWidgetAction

from quantgui.gui.recipe.parameter_form import ParameterForm
from quantgui.gui.recipe.scheme_list import SchemeList
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.foldable import Foldable
from quantgui.gui.widgets.text import muted, small
from quantgui.quant.registry import file_rows, row, rows_by_kind
from quantgui.schemes.parameters import Parameter
from quantgui.schemes.presets import PRESETS, STARTS, Preset
from quantgui.schemes.recipe import SchemeSpec
from quantgui.types import MemoryEstimate, UserError

MIXED = "Mixed precision"


class PrecisionCard(Card):
    """Emits what a person chooses; shows what it is told."""

    chosen = Signal(str)  # id of a precision
    parameters_changed = Signal(str, dict)  # id, and the parameters that differ from their defaults
    preset_chosen = Signal(object)  # a Preset

    def __init__(
        self,
        remembered: Callable[[str], str],
        remember: Callable[[str, str], None],
        notes: Mapping[str, Callable[[], QWidget]],
    ) -> None:
        """`notes` makes what stands below the field of a parameter, by its name."""
        super().__init__("Precision")
        self._remembered, self._remember, self._notes = remembered, remember, notes
        self._form_key: object = None
        self.schemes = SchemeList(rows_by_kind())
        self.schemes.chosen.connect(self.chosen)
        self._summary = muted()
        self._settings = QVBoxLayout()
        menu = button("Presets", tip="Ready-made recipes for a purpose, and mixed precision")
        menu.setMenu(self._preset_menu())
        self.header.addWidget(menu)
        self.body.addWidget(self.schemes)
        self.body.addWidget(self._summary)
        self.body.addLayout(self._settings)
        self.body.addStretch(1)

    def show_estimates(self, estimates: Sequence[MemoryEstimate]) -> None:
        """Show what each precision makes of the open model."""
        self.schemes.show_estimates(estimates)

    def show_base(self, spec: SchemeSpec) -> None:
        """Choice, summary and form; the form stays as it is while the person is typing into it."""
        self.schemes.show_choice(spec.id)
        try:
            chosen = row(spec.id)
        except UserError as error:
            self._summary.setText(error.message)
            return
        self._summary.setText(f"{chosen.summary} Loaded by {', '.join(chosen.runtimes)}.")
        is_file = chosen in file_rows()
        self._mixed_title.setText(f"{MIXED}: a GGUF file brings its own" if is_file else MIXED)
        for action in self._mixed:
            action.setEnabled(not is_file)
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
                is_open=self._remembered("recipe.advanced") == "open",
                remember=lambda how: self._remember("recipe.advanced", how),
            )
            fold.body.addWidget(self._form(spec, advanced))
            self._settings.addWidget(fold)

    def _form(self, spec: SchemeSpec, parameters: list[Parameter]) -> ParameterForm:
        form = ParameterForm(row(spec.id), parameters, spec.parameters, self._notes)
        form.changed.connect(lambda values: self.parameters_changed.emit(spec.id, values))
        return form

    def _preset_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        _add_title(menu, "For a purpose")
        for preset in STARTS:
            self._add_preset(menu, preset)
        self._mixed_title = _add_title(menu, MIXED)
        self._mixed = [self._add_preset(menu, preset) for preset in PRESETS]
        return menu

    def _add_preset(self, menu: QMenu, preset: Preset) -> QAction:
        action = menu.addAction(preset.title)
        action.setToolTip(preset.help)
        action.triggered.connect(lambda: self.preset_chosen.emit(preset))
        return action


def _add_title(menu: QMenu, text: str) -> QLabel:
    """A heading inside a menu; the platforms' styles draw sections of their own without their text."""
    title = small(text, wrap=False)
    title.setContentsMargins(12, 8, 12, 2)
    action = QWidgetAction(menu)
    action.setDefaultWidget(title)
    action.setEnabled(False)
    menu.addAction(action)
    return title


def _clear(layout: QVBoxLayout) -> None:
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.hide()
            widget.deleteLater()
