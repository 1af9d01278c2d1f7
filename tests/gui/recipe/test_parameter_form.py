"""Any declared parameter can be set, and the form says which ones matter."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox, QToolButton

from quantgui.gui.recipe.parameter_form import ParameterForm, has_effect
from quantgui.quant.method import SchemeRow
from quantgui.quant.registry import file_rows, row, rows
from quantgui.schemes.parameters import Parameter
from quantgui.schemes.scheme import Scheme


def form_of(qtbot, chosen: SchemeRow, values=None) -> tuple[ParameterForm, list[dict]]:
    form = ParameterForm(chosen, chosen.parameters, values or {})
    qtbot.addWidget(form)
    seen: list[dict] = []
    form.changed.connect(seen.append)
    return form, seen


def field(form: ParameterForm, kind: type, name: str):
    return next(widget for widget in form.findChildren(kind) if widget.accessibleName() == name)


@pytest.mark.parametrize("chosen", rows(), ids=lambda chosen: chosen.id)
def test_every_parameter_of_every_precision_has_a_named_field(qtbot, chosen):
    form, seen = form_of(qtbot, chosen)
    names = {
        widget.accessibleName()
        for kind in (QCheckBox, QComboBox, QDoubleSpinBox, QLineEdit, QSpinBox)
        for widget in form.findChildren(kind)
    }
    assert {parameter.title for parameter in chosen.parameters} <= names
    assert seen == []


def test_only_values_that_differ_from_the_defaults_are_announced(qtbot):
    form, seen = form_of(qtbot, row("INT4"))
    box = field(form, QCheckBox, "Symmetric")
    box.click()
    box.click()
    assert seen == [{"symmetric": False}, {}]


def test_a_suggested_number_can_be_replaced_by_another(qtbot):
    form, seen = form_of(qtbot, row("INT4"))
    box = field(form, QComboBox, "Group size")
    box.lineEdit().setText("48")
    box.lineEdit().editingFinished.emit()
    assert seen == [{"group_size": 48}]
    box.lineEdit().setText("many")
    box.lineEdit().editingFinished.emit()
    assert len(seen) == 1


def test_a_value_outside_the_suggestions_is_shown(qtbot):
    form, _ = form_of(qtbot, row("INT4"), {"group_size": 48})
    assert field(form, QComboBox, "Group size").currentText() == "48"


def test_a_setting_without_effect_is_disabled(qtbot):
    form, _ = form_of(qtbot, row("INT4"), {"granularity": "tensor"})
    assert not field(form, QComboBox, "Group size").isEnabled()
    assert field(form, QComboBox, "One scale per").isEnabled()


def test_effect_is_found_from_the_schemes_themselves():
    chosen = row("INT4")
    values = {p.name: p.default for p in chosen.parameters}
    group_size = next(p for p in chosen.parameters if p.name == "group_size")
    assert has_effect(chosen, values, group_size)
    assert not has_effect(chosen, values | {"granularity": "channel"}, group_size)


def test_numbers_and_texts_of_a_new_method_get_fields(qtbot):
    parameters = (
        Parameter("damp", "Damping", "Added to the diagonal.", 0.01, minimum=0.0, maximum=1.0),
        Parameter("samples", "Samples", "Number of texts.", 128, minimum=1),
        Parameter("text", "Text", "A file.", "calibration"),
    )

    def make(**values: object) -> Scheme:
        return row("INT4").make(granularity="group", group_size=32, symmetric=True)

    chosen = SchemeRow("GPTQ-4", "GPTQ", "Summary.", 4, "compressed_tensors", ("vLLM",), make, parameters)
    form, seen = form_of(qtbot, chosen)
    field(form, QSpinBox, "Samples").setValue(256)
    edit = field(form, QLineEdit, "Text")
    edit.setText("other")
    edit.editingFinished.emit()
    assert seen == [{"samples": 256}, {"samples": 256, "text": "other"}]


def test_a_file_can_be_typed_or_chosen(qtbot, monkeypatch):
    form, seen = form_of(qtbot, row("QAT-INT4"))
    edit = field(form, QLineEdit, "Training text")
    edit.setText(" /texts/mine.txt ")
    edit.editingFinished.emit()
    edit.editingFinished.emit()  # leaving the field without a change says nothing
    assert seen == [{"calibration": "/texts/mine.txt"}]
    monkeypatch.setattr("PySide6.QtWidgets.QFileDialog.getOpenFileName", lambda *a: ("/texts/other.txt", ""))
    next(b for b in form.findChildren(QToolButton) if "Training text" in b.toolTip()).click()
    assert seen[-1] == {"calibration": "/texts/other.txt"}


def test_settings_of_a_training_have_an_effect_although_the_stored_scheme_is_the_same(qtbot):
    form, seen = form_of(qtbot, row("QAT-INT4"))
    assert field(form, QCheckBox, "Learn from the original").isEnabled()
    rate = field(form, QDoubleSpinBox, "Learning rate")
    assert rate.text() == "0.000100"
    rate.setValue(2.5e-5)
    assert seen == [{"learning_rate": 2.5e-5}]


@pytest.mark.parametrize("chosen", file_rows(), ids=lambda chosen: chosen.id)
def test_settings_of_a_mixture_can_be_set(chosen):
    values = {parameter.name: parameter.default for parameter in chosen.parameters}
    assert all(has_effect(chosen, values, parameter) for parameter in chosen.parameters)


def test_an_empty_file_says_what_is_taken_then(qtbot):
    for scheme_id, name, empty in (
        ("GPTQ-4", "Calibration text", "The bundled text"),
        ("Q4_K_M", "Importance matrix", "None"),
    ):
        form, _ = form_of(qtbot, row(scheme_id))
        assert field(form, QLineEdit, name).placeholderText() == empty
