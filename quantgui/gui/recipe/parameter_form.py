"""A form drawn from declared parameters: whatever a method states about itself can be set here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLineEdit, QWidget

from quantgui.gui.widgets.file_field import FileField
from quantgui.gui.widgets.number_box import decimal_number, whole_number
from quantgui.gui.widgets.text import label, small
from quantgui.quant.method import SchemeRow
from quantgui.schemes.parameters import Parameter, ParameterValue

LARGEST_WHOLE = 2**31 - 1


class ParameterForm(QWidget):
    """The fields of one precision. `changed` brings the parameters that differ from their defaults.

    `notes` makes what stands below the field of a parameter, by its name.
    """

    changed = Signal(dict)

    def __init__(
        self,
        row: SchemeRow,
        parameters: Sequence[Parameter],
        values: Mapping[str, ParameterValue],
        notes: Mapping[str, Callable[[], QWidget]] | None = None,
    ) -> None:
        super().__init__()
        self._row = row
        self._notes = notes or {}
        self._values = {p.name: values.get(p.name, p.default) for p in row.parameters}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self._next_row = 0
        for parameter in parameters:
            self._add(parameter)

    def _add(self, parameter: Parameter) -> None:
        row = self._next_row
        self._next_row += 4  # the field, its help, its note, and a gap
        name = label(parameter.title)
        field = self._field(parameter, self._values[parameter.name])
        field.setAccessibleName(parameter.title)
        field.setAccessibleDescription(parameter.help)
        works = has_effect(self._row, self._values, parameter)
        field.setEnabled(works)
        name.setEnabled(works)
        note = small(parameter.help if works else "Has no effect with the other settings as they are.")
        for widget in (name, field):
            widget.setToolTip(parameter.help)
        self._grid.addWidget(name, row, 0)
        self._grid.addWidget(field, row, 1)
        self._grid.addWidget(note, row + 1, 0, 1, 2)
        if parameter.name in self._notes:
            self._grid.addWidget(self._notes[parameter.name](), row + 2, 0, 1, 2)
        self._grid.setRowMinimumHeight(row + 3, 8)

    def _field(self, parameter: Parameter, value: ParameterValue) -> QWidget:
        """The widget that fits the parameter's kind of value."""
        if isinstance(parameter.default, bool):
            return self._check_box(parameter, bool(value))
        if parameter.choices:
            return self._combo_box(parameter, value)
        if isinstance(parameter.default, int | float) and isinstance(value, int | float):
            return self._spin_box(parameter, parameter.default, value)
        if parameter.is_file:
            chooser = FileField(parameter.title, str(value), parameter.empty)
            chooser.changed.connect(lambda path: self._set(parameter, path))
            return chooser
        edit = QLineEdit(str(value))
        edit.editingFinished.connect(lambda: self._set(parameter, edit.text()))
        return edit

    def _check_box(self, parameter: Parameter, value: bool) -> QWidget:
        box = QCheckBox("Yes" if value else "No")
        box.setChecked(value)
        box.toggled.connect(lambda checked: self._set(parameter, checked))
        return box

    def _combo_box(self, parameter: Parameter, value: ParameterValue) -> QWidget:
        box = QComboBox()
        titles = parameter.choice_titles or tuple(map(str, parameter.choices))
        for title, choice in zip(titles, parameter.choices, strict=True):
            box.addItem(title, choice)
        if value not in parameter.choices:
            box.addItem(str(value), value)
        box.setCurrentIndex(box.findData(value))
        box.activated.connect(lambda index: self._set(parameter, box.itemData(index)))
        if parameter.minimum is not None:  # the choices are suggestions: any number in the range will do
            box.setEditable(True)
            edit = QLineEdit()
            edit.setStyleSheet("border: none; padding: 0; min-height: 0;")  # the box around it has both already
            box.setLineEdit(edit)
            box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            edit.setText(box.itemText(box.currentIndex()))
            edit.editingFinished.connect(lambda: self._set_typed(parameter, edit.text()))
        return box

    def _spin_box(self, parameter: Parameter, default: int | float, value: int | float) -> QWidget:
        low, high = parameter.minimum or 0, parameter.maximum if parameter.maximum is not None else LARGEST_WHOLE
        if isinstance(default, int):
            box = whole_number(parameter.title, int(low), int(min(high, LARGEST_WHOLE)), int(value))
        else:
            box = decimal_number(parameter.title, low, high, float(value), decimals=_decimals(default))
            box.setSingleStep(abs(default) / 10 or 0.1)
        box.setKeyboardTracking(False)
        box.valueChanged.connect(lambda number: self._set(parameter, number))
        return box

    def _set_typed(self, parameter: Parameter, text: str) -> None:
        try:
            value = type(parameter.default)(text)
        except ValueError:
            return
        if value != self._values[parameter.name]:
            self._set(parameter, value)

    def _set(self, parameter: Parameter, value: ParameterValue) -> None:
        """Take a value over; one that the parameter does not allow is announced all the same and refused in words."""
        self._values[parameter.name] = value
        defaults = {p.name: p.default for p in self._row.parameters}
        self.changed.emit({name: v for name, v in self._values.items() if v != defaults[name]})


def _decimals(default: float) -> int:
    """Digits after the point that a person may set: three of a small default, at least four."""
    return max(4, 2 - math.floor(math.log10(abs(default)))) if default else 4


def has_effect(row: SchemeRow, values: Mapping[str, ParameterValue], parameter: Parameter) -> bool:
    """Whether another value of `parameter` gives another scheme while the other values stay as they are.

    Equal schemes are equal values, so the method need not declare which of its settings depend on which.
    """
    if not parameter.shapes_scheme:
        return True
    others = parameter.choices or ((not parameter.default,) if isinstance(parameter.default, bool) else ())
    if not others:
        return True
    candidates = [values[parameter.name], parameter.default, *others]
    try:
        return len({row.make(**{**values, parameter.name: value}) for value in candidates}) > 1
    except ValueError:
        return True
