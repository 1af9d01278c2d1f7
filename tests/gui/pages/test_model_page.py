from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QToolButton

from quantgui.gui.app_state import AppState
from quantgui.gui.pages.model_page import ModelPage
from quantgui.gui.tensor_tree import TensorTree, branches


def open_model(qtbot, state: AppState, reference: Path | str) -> None:
    with qtbot.waitSignal(state.checkpoint_changed, check_params_cb=lambda: not state.checkpoint_busy):
        state.open_model(str(reference))


@pytest.fixture
def page(qtbot, state: AppState, tiny_llama_bf16: Path) -> ModelPage:
    made = ModelPage(state)
    qtbot.addWidget(made)
    made.show()
    open_model(qtbot, state, tiny_llama_bf16)
    return made


def words(page: ModelPage) -> str:
    return " | ".join(label.text() for label in page.findChildren(QLabel) if label.isVisible())


def test_the_title_says_what_was_found(page, state) -> None:
    text = words(page).replace("\u00a0", " ")
    assert f"{state.checkpoint.name} · " in text
    assert "BF16" in text
    assert "20 tensors" in text


def test_the_filter_narrows_the_tree(page) -> None:
    page._filter.setText("layer 1 mlp")
    assert "3 of 20 tensors" in words(page)


def test_an_error_stands_on_the_page_and_the_open_model_stays(qtbot, page, state, tmp_path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 32)
    open_model(qtbot, state, tmp_path / "broken.safetensors")
    assert state.checkpoint_error.message in words(page)
    assert "20 tensors" in words(page)


def test_without_any_model_the_page_is_the_picker(qtbot, state, tmp_path) -> None:
    made = ModelPage(state)
    qtbot.addWidget(made)
    made.show()
    open_model(qtbot, state, tmp_path / "nowhere")
    assert made._stack.currentIndex() == 1


def test_choosing_a_tensor_selects_it_everywhere(qtbot, page, state) -> None:
    tree = page._tensors
    layer = tree.index(1, 0)
    with qtbot.waitSignal(state.selection_changed):
        page._tree.setCurrentIndex(tree.index(0, 0, layer))
    assert state.selected_tensor == tree.tensor(tree.index(0, 0, layer)).name


def test_branches_hold_every_tensor_once(page, state) -> None:
    found = [tensor for branch in branches(state.checkpoint.tensors) for tensor in branch.tensors]
    assert sorted(t.name for t in found) == sorted(t.name for t in state.checkpoint.tensors)


def test_the_tree_keeps_qts_rules_for_models(qtbot, page, qtmodeltester) -> None:
    tree = TensorTree()
    tree.set_branches(branches(page._state.checkpoint.tensors))
    qtmodeltester.check(tree)


def test_an_error_can_be_put_away(qtbot, page, state, tmp_path) -> None:
    open_model(qtbot, state, tmp_path / "nothing")
    message = state.checkpoint_error.message
    cross = next(b for b in page.findChildren(QToolButton) if b.accessibleName() == "Dismiss")
    cross.click()
    assert state.checkpoint_error is None
    assert message not in words(page)
