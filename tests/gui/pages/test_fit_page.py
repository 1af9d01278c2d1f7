from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtWidgets import QLabel, QPushButton, QSlider, QSpinBox, QWidget

from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.columns import MEMORY
from quantgui.gui.fit.findings import recommended
from quantgui.gui.fit.groups import GGUF
from quantgui.gui.fit.power_field import PowerField
from quantgui.gui.fit.view import FitPage
from quantgui.hardware.catalogue import target
from quantgui.types import Runtime


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


def test_the_title_names_the_recommended_row_and_follows_the_hardware(page, state) -> None:
    best = recommended(state.estimates, state.hardware)
    assert best is not None
    assert title(page).startswith(f"{best.scheme_id}: ")
    before = title(page)
    state.choose_hardware(target("Raspberry Pi 5"))
    assert title(page) != before


def test_the_slider_moves_estimates_and_leaves_no_widgets_behind(qtbot, page, state) -> None:
    before = state.estimates
    slider = page.findChild(QSlider)
    counts = []
    for exponent in (15, 10, 15, 12, 15):
        slider.setValue(exponent)
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        counts.append(len(page.findChildren(QLabel)))
    assert state.fit_settings.context == 1 << 15
    assert state.estimates != before
    assert counts[0] == counts[2] == counts[4]


def test_an_exact_context_can_be_typed(page, state) -> None:
    field = page.findChild(PowerField)
    field._box.setValue(10_000)
    assert state.fit_settings.context == 10_000
    assert field._slider.value() == 13


def test_using_a_picked_row_makes_it_the_recipe_and_then_leads_there(qtbot, page, state) -> None:
    page.fits.picked.emit("INT3")
    assert state.recipe.base.id == "INT4"
    assert primary(page).text() == "Use INT3"
    primary(page).click()
    assert state.recipe.base.id == "INT3"
    with qtbot.waitSignal(state.page_requested) as asked:
        primary(page).click()
    assert asked.args == ["recipe"]


@pytest.mark.parametrize(
    ("name", "choose", "expected"),
    [
        ("Slots", lambda box: box.setValue(4), {"slots": 4}),
        ("Batch", lambda box: box.setValue(3), {"batch": 3}),
        ("Type of the KV cache", lambda box: box.setCurrentText("q8_0"), {"kv_dtype": "q8_0"}),
        ("Program that runs the model", lambda box: box.setCurrentText("vLLM"), {"runtime": Runtime.VLLM}),
        ("Flash attention", lambda box: box.setChecked(False), {"flash_attention": False}),
        ("Importance matrix", lambda box: box.setChecked(True), {"imatrix": True}),
    ],
)
def test_every_control_changes_what_is_estimated(qtbot, page, state, name, choose, expected) -> None:
    fields = [w for w in page.findChildren(QWidget) if not isinstance(w, QLabel)]
    control = next(w for w in fields if name in (w.accessibleName(), w.property("text")))
    with qtbot.waitSignal(state.fit_changed):
        choose(control)
    assert {field: getattr(state.fit_settings, field) for field in expected} == expected


def test_the_number_of_devices_changes_the_hardware(page, state) -> None:
    box = next(w for w in page.findChildren(QSpinBox) if w.accessibleName() == "Number of devices")
    box.setValue(2)
    assert len(state.hardware.accelerators) == 2
    state.choose_hardware(target("Apple M4"))
    assert not box.isEnabled()


def test_tab_walks_the_page_in_reading_order(page) -> None:
    chain: list[QWidget] = [primary(page)]
    while (following := chain[-1].nextInFocusChain()) is not None and following not in chain:
        chain.append(following)
    tabs, slider, table = page._tabs, page.findChild(QSlider), page.fits.table.view
    assert chain.index(tabs) < chain.index(slider) < chain.index(table)


def test_a_program_that_does_not_run_here_is_said_on_the_page(page, state) -> None:
    state.change_fit(runtime=Runtime.MLX)
    assert state.fit.error is not None
    assert not page.fits.isVisible()
    state.change_fit(runtime=None)
    assert page.fits.isVisible()


def test_folds_and_order_are_there_again_at_the_next_start(qtbot, page, state) -> None:
    page.fits.table.view.unfold_asked.emit(GGUF)
    page.fits.table.view.header().setSortIndicator(MEMORY, Qt.SortOrder.AscendingOrder)
    second = FitPage(state)
    qtbot.addWidget(second)
    groups = second.fits.table.view.lines.groups
    assert next(group for group in groups if group.id == GGUF).is_unfolded
    totals = [row.total_bytes for row in groups[0].rows]
    assert totals == sorted(totals)


def test_the_details_say_every_part_and_where_it_comes_from(page, state) -> None:
    shown = [label.text() for label in page.fits.details.findChildren(QLabel)]
    estimate = next(e for e in state.estimates if e.scheme_id == title(page).partition(":")[0])
    assert estimate.reason in shown
    for part in estimate.parts:
        if part.nbytes is not None:
            assert formatting.memory(part.nbytes) in shown
            assert any(text.startswith(part.provenance.value) for text in shown)


def test_a_pick_is_kept_for_other_hardware_and_forgotten_for_another_model(qtbot, page, state) -> None:
    page.fits.picked.emit("INT3")
    state.choose_hardware(target("RTX 4090"))
    assert primary(page).text() == "Use INT3"
    with qtbot.waitSignal(state.fit_changed):
        state.open_model("demo")
    assert primary(page).text() != "Use INT3"


def test_the_recommended_row_stands_in_the_first_group_of_new_hardware(page, state) -> None:
    for name in ("RTX 3060", "Apple M4", "A100"):
        state.choose_hardware(target(name))
        best = recommended(state.estimates, state.hardware)
        assert best is not None
        assert best.scheme_id in [row.scheme_id for row in page.fits.table.view.lines.groups[0].rows]


def test_showing_a_value_does_not_announce_it(qtbot) -> None:
    field = PowerField("Context", "Context", 9, 20, 10_000_000)
    qtbot.addWidget(field)
    with qtbot.assertNotEmitted(field.changed):
        field.set_value(5000)
    assert field.value() == 5000
