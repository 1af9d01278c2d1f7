"""The plan of the recipe: at once for small models, in the background for large ones, never that of another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from quantgui.gui import plan_state
from quantgui.gui.app_state import AppState
from quantgui.schemes.recipe import Recipe, SchemeSpec


@pytest.fixture
def opened(state: AppState, qtbot: QtBot, tiny_llama_folder: Path) -> AppState:
    with qtbot.waitSignal(state.fit_changed, timeout=20_000):
        state.open_model(str(tiny_llama_folder))
    return state


def test_the_plan_of_a_small_model_is_there_when_the_recipe_is(opened: AppState) -> None:
    seen: list[float] = []
    opened.recipe_changed.connect(lambda: seen.append(opened.plans.plan.bits_per_weight))
    before = opened.plans.plan.bits_per_weight
    opened.set_recipe(Recipe(SchemeSpec("INT8")))
    assert seen == [opened.plans.plan.bits_per_weight]
    assert seen[0] != before and not opened.plans.is_pending


def test_a_large_model_is_planned_in_the_background_and_the_newest_recipe_wins(
    opened: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_state, "MOST_AT_ONCE", 0)
    before = opened.plans.plan
    for scheme in ("INT8", "BF16"):
        opened.set_recipe(Recipe(SchemeSpec(scheme)))
        assert opened.plans.is_pending and opened.plans.plan is before
    plans = []
    opened.plans.changed.connect(lambda: plans.append(opened.plans.plan))
    qtbot.waitUntil(lambda: not opened.plans.is_pending, timeout=5000)
    (plan,) = plans
    assert {t.assignment.scheme.id for t in plan.tensors if t.assignment.scheme} == {"BF16"}


def test_the_plan_of_another_model_is_not_kept(
    opened: AppState, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, make_llama: Callable[..., Path]
) -> None:
    monkeypatch.setattr(plan_state, "MOST_AT_ONCE", 0)
    kept = []
    opened.checkpoint_changed.connect(lambda: kept.append(opened.plans.plan.tensors))
    with qtbot.waitSignal(opened.fit_changed, timeout=20_000):
        opened.open_model(str(make_llama("other")))
    assert kept[-1] == ()
    qtbot.waitUntil(lambda: not opened.plans.is_pending, timeout=5000)
    assert opened.plans.plan.tensors


def test_a_recipe_that_needs_an_importance_matrix_says_so_with_and_without_one(state: AppState, qtbot: QtBot) -> None:
    with qtbot.waitSignal(state.fit_changed, timeout=20_000):
        state.open_model("demo")  # its rows fill blocks of 256
    for scheme, asks in (("IQ2_XS", True), ("Q4_K_M", False), ("INT4", False)):
        for parameters in ({}, {"imatrix": "file.gguf"} if asks else {}):
            state.set_recipe(Recipe(SchemeSpec(scheme, parameters)))
            assert state.plans.plan.needs_imatrix is asks, scheme
