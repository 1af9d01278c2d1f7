from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from quantgui.fit.settings import default_context
from quantgui.gui.app_state import AppState
from quantgui.hardware.catalogue import target
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError


def open_model(qtbot: QtBot, state: AppState, reference: Path | str) -> None:
    with qtbot.waitSignal(state.checkpoint_changed, check_params_cb=lambda: not state.checkpoint_busy):
        state.open_model(str(reference))


def test_an_opened_model_is_estimated_on_the_chosen_hardware(qtbot, state, tiny_llama_folder) -> None:
    state.choose_hardware(target("RTX 3060"))
    open_model(qtbot, state, tiny_llama_folder)
    assert state.checkpoint is not None
    assert state.checkpoint.parameters > 0
    assert {e.scheme_id for e in state.estimates} >= {"BF16", "INT4"}


def test_a_failed_open_keeps_the_model_that_was_open(qtbot, state, tiny_llama_folder, tmp_path) -> None:
    open_model(qtbot, state, tiny_llama_folder)
    before = state.checkpoint
    open_model(qtbot, state, tmp_path / "nothing-here")
    assert state.checkpoint is before
    assert isinstance(state.checkpoint_error, UserError)
    open_model(qtbot, state, tiny_llama_folder)
    assert state.checkpoint_error is None


def test_the_newest_of_two_requests_wins(qtbot, state, tiny_llama_folder, tiny_llama_bf16) -> None:
    seen: list[str] = []
    state.checkpoint_changed.connect(lambda: seen.append(state.checkpoint.dtype if state.checkpoint else ""))
    state.open_model(str(tiny_llama_folder))
    open_model(qtbot, state, tiny_llama_bf16)
    assert state.checkpoint is not None
    assert state.checkpoint.dtype == "BF16"
    assert "F32" not in seen


def test_more_context_never_needs_less(qtbot, state, tiny_llama_folder) -> None:
    state.choose_hardware(target("RTX 3060"))
    open_model(qtbot, state, tiny_llama_folder)
    totals = []
    for context in (512, 4096, 65_536):
        with qtbot.waitSignal(state.fit_changed):
            state.change_fit(context=context)
        totals.append([e.total_bytes for e in state.estimates])
    assert totals[0] < totals[1] < totals[2]


def test_a_model_begins_at_its_own_context_and_keeps_the_one_that_was_set(
    qtbot, state, tiny_llama_folder, tiny_llama_bf16
) -> None:
    open_model(qtbot, state, tiny_llama_folder)
    own = default_context(state.checkpoint.config)
    assert state.fit_settings.context == own
    state.change_fit(context=own + 96)
    open_model(qtbot, state, tiny_llama_bf16)
    assert state.fit_settings.context == default_context(state.checkpoint.config)
    open_model(qtbot, state, tiny_llama_folder)
    assert state.fit_settings.context == own + 96


def test_a_change_that_changes_nothing_says_nothing(qtbot, state) -> None:
    with qtbot.assertNotEmitted(state.fit_changed):
        state.change_fit(context=state.fit_settings.context)
    with qtbot.assertNotEmitted(state.settings_changed):
        state.change_settings(theme=state.settings.theme)
    with qtbot.assertNotEmitted(state.recipe_changed):
        state.set_recipe(state.recipe)


def test_undo_and_redo_walk_the_recipes(state: AppState) -> None:
    first = state.recipe
    second = Recipe(SchemeSpec("INT8"))
    state.set_recipe(second)
    assert (state.can_undo, state.can_redo) == (True, False)
    state.undo_recipe()
    assert state.recipe == first
    state.redo_recipe()
    assert state.recipe == second


def test_the_next_start_finds_everything_as_it_was(
    qtbot, make_state: Callable[[], AppState], tiny_llama_folder
) -> None:
    old = make_state()
    open_model(qtbot, old, tiny_llama_folder)
    old.choose_hardware(target("RTX 4090"))
    old.change_fit(context=4096, batch=3)
    old.set_recipe(Recipe(SchemeSpec("INT8", {"symmetric": False})))
    old.change_settings(theme="dark")
    old.request_page("fit")
    old.remember("fold", "open")
    old.close()
    new = make_state()
    assert new.hardware == old.hardware
    assert (new.fit_settings, new.recipe, new.settings) == (old.fit_settings, old.recipe, old.settings)
    assert (new.last_page, new.remembered("fold")) == ("fit", "open")
    with qtbot.waitSignal(new.checkpoint_changed, check_params_cb=lambda: not new.checkpoint_busy):
        new.restore()
    assert new.checkpoint == old.checkpoint


@pytest.mark.parametrize("text", ["", "{", "[]", '{"theme": 3}', '{"fit": {"context": -1}}', "\0"])
def test_damaged_files_are_ignored(make_state: Callable[[], AppState], text: str) -> None:
    home = make_state().home
    for file in (home.settings_file, home.session_file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    state = make_state()
    assert state.settings.theme == "system"
    assert state.fit_settings.context > 0


def test_this_machine_stays_chosen_when_it_is_looked_at_again(qtbot, state: AppState) -> None:
    with qtbot.waitSignal(state.hardware_changed):
        state.refresh_machine()
    assert state.hardware is state.machine
    state.choose_hardware(target("RTX 3060"))
    with qtbot.waitSignal(state.hardware_changed):
        state.refresh_machine()
    assert state.hardware.name.startswith("RTX 3060")


def test_starting_without_a_model_says_what_to_do(qtbot, state: AppState) -> None:
    with qtbot.waitSignal(state.message) as said:
        state.start_quantize()
    assert said.args is not None
    assert said.args[0].hint
    assert state.run is None


def test_a_folder_without_a_run_is_a_message(qtbot, state: AppState, tmp_path: Path) -> None:
    with qtbot.waitSignal(state.message):
        state.load_run(str(tmp_path))
    assert state.run is None


def test_the_default_output_is_a_folder_name_below_the_outputs(qtbot, state, tiny_llama_folder) -> None:
    assert state.default_output() == ""
    open_model(qtbot, state, tiny_llama_folder)
    assert Path(state.default_output()).parent == state.outputs_folder
    state.set_recipe(Recipe(SchemeSpec("INT4"), name="../../evil name"))
    assert Path(state.default_output()).parent == state.outputs_folder
