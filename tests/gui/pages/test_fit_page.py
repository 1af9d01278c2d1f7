from __future__ import annotations

import pytest
from PySide6.QtWidgets import QLabel, QPushButton

from quantgui.gui.app_state import AppState
from quantgui.gui.fit.power_field import PowerField
from quantgui.gui.fit.view import FitPage
from quantgui.hardware.catalogue import target


@pytest.fixture
def page(qtbot, state: AppState) -> FitPage:
    made = FitPage(state)
    qtbot.addWidget(made)
    made.show()
    state.choose_hardware(target("RTX 3060"))
    with qtbot.waitSignal(state.fit_changed):
        state.open_model("meta-llama/Llama-3.1-8B-Instruct")
    return made


def title(page: FitPage) -> str:
    return next(label.text() for label in page.findChildren(QLabel) if label.property("role") == "title")


def primary(page: FitPage) -> QPushButton:
    return next(b for b in page.findChildren(QPushButton) if b.property("primary") and b.isVisible())


def test_the_title_follows_the_hardware(page, state) -> None:
    before = title(page)
    assert before.startswith("INT8 is the most precise")
    state.choose_hardware(target("RTX 4090"))
    assert title(page) != before


def test_the_slider_moves_estimates_and_title_and_makes_no_widgets(qtbot, page, state) -> None:
    before = state.estimates
    widgets = len(page.findChildren(QLabel))
    page._context._slider.setValue(15)
    assert state.fit_settings.context == 1 << 15
    assert state.estimates != before
    assert "32k context" in title(page)
    for exponent in (10, 12, 14):
        page._context._slider.setValue(exponent)
    assert len(page.findChildren(QLabel)) == widgets


def test_an_exact_context_can_be_typed(page, state) -> None:
    page._context._box.setValue(10_000)
    assert state.fit_settings.context == 10_000
    assert page._context._slider.value() == 13


def test_using_a_picked_row_makes_it_the_recipe_and_then_leads_there(qtbot, page, state) -> None:
    page._chart.canvas.picked.emit("INT3")
    assert state.recipe.base.id == "INT4"
    assert primary(page).text() == "Use INT3"
    primary(page).click()
    assert state.recipe.base.id == "INT3"
    with qtbot.waitSignal(state.page_requested) as asked:
        primary(page).click()
    assert asked.args == ["recipe"]


def test_the_table_twin_has_every_row_and_empty_cells_for_what_is_not_estimated(page, state) -> None:
    table = page._chart.table()
    assert [row[0] for row in table.rows] == [e.scheme_id for e in state.estimates]
    assert all(0 not in row for row in table.rows)


def test_showing_a_value_does_not_announce_it(qtbot) -> None:
    field = PowerField("Context", "Context", 9, 20, 10_000_000)
    qtbot.addWidget(field)
    with qtbot.assertNotEmitted(field.changed):
        field.set_value(5000)
    assert field.value() == 5000
