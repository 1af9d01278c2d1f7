"""The page shows what the recipe does and changes nothing but the recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtWidgets import QLabel, QLineEdit, QMenu, QPushButton

from quantgui.gui.app_state import AppState
from quantgui.gui.pages.recipe_page import RecipePage
from quantgui.hardware.custom import custom_target
from quantgui.home import Home
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import Runtime
from tests.gui.tapes import quantize_tape


@pytest.fixture
def state(qtbot, tmp_path: Path) -> Iterator[AppState]:
    made = AppState(Home.below(tmp_path / "state"))
    yield made
    made.close()


@pytest.fixture
def page(qtbot, state: AppState, tiny_llama_bf16: Path) -> RecipePage:
    state.set_recipe(Recipe(SchemeSpec("INT4", {"group_size": 32})))
    widget = RecipePage(state)
    qtbot.addWidget(widget)
    with qtbot.waitSignal(state.fit_changed):
        state.open_model(str(tiny_llama_bf16))
    return widget


def texts(widget) -> str:
    return " ".join(label.text() for label in widget.findChildren(QLabel))


def select(page: RecipePage, *rows: int) -> None:
    table = page._table
    flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    for row in rows:
        table.selectionModel().select(table.filter.index(row, 0), flags)


def test_without_a_model_it_offers_one(qtbot, state):
    page = RecipePage(state)
    qtbot.addWidget(page)
    assert page._stack.currentIndex() == 0
    assert any(b.text().strip() == "Try it on the bundled model" for b in page.findChildren(QPushButton))


def test_the_title_is_the_finding(page):
    assert "INT4 in groups of 32: " in texts(page)
    assert "14 of 20 tensors change" in texts(page)


def test_choosing_a_precision_changes_the_recipe_and_undo_takes_it_back(page, state):
    before = state.recipe
    page._precision.schemes.choose("INT8")
    assert state.recipe.base == SchemeSpec("INT8")
    assert "INT8 per output channel" in texts(page)
    state.undo_recipe()
    assert state.recipe == before
    assert page._precision.schemes.currentItem().text().startswith("INT4")
    assert state.can_redo


def test_a_preset_and_an_answer_become_the_recipe(page, state):
    card = page._precision
    menu = card.findChild(QMenu)
    next(action for action in menu.actions() if action.text() == "Fine-tune later (QLoRA)").trigger()
    assert state.recipe == Recipe(SchemeSpec("NF4-DQ"))
    next(action for action in menu.actions() if action.text() == "Attention 8 bit, MLP 4 bit").trigger()
    assert state.recipe.rules and state.recipe.base.id == "INT4"
    page._advice.chosen.emit(SchemeSpec("QAT-INT4"))
    assert state.recipe == Recipe(SchemeSpec("QAT-INT4"))


def test_the_time_is_an_estimate_or_not_known(page, state):
    assert "Time: not known yet" in texts(page)
    run = quantize_tape().state()
    state.runs.times.learn(replace(run, job=replace(quantize_tape().job, recipe=state.recipe)))
    state.runs_changed.emit()
    assert "Time: about" in texts(page) and "estimated from the last such run" in texts(page)


def test_showing_a_recipe_does_not_change_it(page, state):
    recipe = Recipe(SchemeSpec("INT8"), (Rule("*.mlp.*", SchemeSpec("INT4", {"group_size": 64})),), "shared")
    state.set_recipe(recipe)
    assert state.recipe == recipe


def test_selected_tensors_can_be_overridden(page, state):
    select(page, 0, 3)
    names = page._table.selected_names()
    page._override_selected("INT8")
    assert {rule.pattern for rule in state.recipe.rules} == set(names)
    assert page._table.selected_names() == names
    page._override_selected("recipe")
    assert state.recipe.rules == ()


def test_selecting_one_tensor_tells_everybody(page, state):
    select(page, 2)
    assert state.selected_tensor == page._table.selected_names()[0]


def test_a_broken_pattern_is_said_where_it_happens_and_can_be_undone(page, state):
    state.set_recipe(Recipe(SchemeSpec("INT4"), (Rule("re:(", None),)))
    assert "is not a valid regular expression" in texts(page)
    state.undo_recipe()
    assert "is not a valid regular expression" not in " ".join(
        label.text() for label in page.findChildren(QLabel) if label.isVisibleTo(page)
    )


def test_editing_a_pattern_changes_the_rule(page, state):
    page._rules.add()
    (rule,) = state.recipe.rules
    edit = next(e for e in page.findChildren(QLineEdit) if e.text() == rule.pattern and e.isVisibleTo(page))
    edit.setText("*.self_attn.*")
    edit.editingFinished.emit()
    assert [r.pattern for r in state.recipe.rules] == ["*.self_attn.*"]
    assert "8 tensors" in texts(page)


def test_the_filter_hides_and_the_order_is_that_of_the_numbers(page):
    table = page._table
    table.filter.setFilterFixedString("mlp.down")
    assert table.filter.rowCount() == 2
    table.filter.setFilterFixedString("")
    sizes = 4
    table.sortByColumn(sizes, Qt.SortOrder.DescendingOrder)
    shown = [table.filter.mapToSource(table.filter.index(i, 0)).row() for i in range(table.filter.rowCount())]
    order = [page._model.planned(row).assignment.nbytes for row in shown]
    assert order == sorted(order, reverse=True)


def test_a_recipe_goes_to_a_file_and_comes_back(page, state, tmp_path):
    saved = state.recipe
    page.save_file(tmp_path / "recipe.json")
    state.set_recipe(Recipe(SchemeSpec("BF16")))
    page.open_file(tmp_path / "recipe.json")
    assert state.recipe == saved
    (tmp_path / "recipe.json").write_text("no")
    page.open_file(tmp_path / "recipe.json")
    assert "recipe.json is not a recipe." in texts(page)
    assert state.recipe == saved


def test_the_primary_action_goes_to_run(page, state, qtbot):
    (run,) = [b for b in page.findChildren(QPushButton) if b.text().strip() == "Go to Run"]
    with qtbot.waitSignal(state.page_requested, check_params_cb=lambda page_id: page_id == "run"):
        run.click()


def test_a_gguf_file_refuses_mixed_presets_and_the_exceptions_of_folders(page, state, qtbot):
    page._rules.add()
    with qtbot.waitSignal(state.message):
        page._precision.schemes.choose("Q4_K_M")
    assert state.recipe == Recipe(SchemeSpec("Q4_K_M"))
    mixed = {a.text(): a for a in page._precision.findChild(QMenu).actions()}["First and last layer 8 bit"]
    assert not mixed.isEnabled()
    page._rules.add()
    assert state.plans.plan.error is None and state.plans.plan.matches[0] > 0
    page._precision.schemes.choose("INT8")
    assert mixed.isEnabled() and state.recipe.rules == ()


def test_sizes_do_not_depend_on_the_program_of_the_fit_page(page, state):
    state.choose_hardware(custom_target("here", vram_gib=8, ram_gib=16))
    state.change_fit(runtime=Runtime.LLAMA_CPP)
    assert state.estimates and all(row.runtime is Runtime.LLAMA_CPP for row in state.estimates)
    ids = {row.scheme_id for row in state.fit.every_program}
    assert {"INT4", "NF4", "Q4_K_M"} <= ids
    state.change_fit(runtime=Runtime.MLX)
    assert state.fit.error is not None and state.fit.every_program
    assert not any("Nothing that it runs well" in answer.sentence for answer in page._advice._answers)
