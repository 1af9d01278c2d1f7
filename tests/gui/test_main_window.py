"""The frame: what people reach by keyboard and by ear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QSlider,
    QWidget,
)
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.application import build
from quantgui.gui.command_palette import CommandPalette
from quantgui.gui.main_window import MainWindow
from quantgui.gui.settings import THEMES
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError

SPEAKING = (QAbstractButton, QAbstractItemView, QAbstractSpinBox, QComboBox, QLineEdit, QSlider)


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, tiny_llama_bf16: Path) -> Iterator[tuple[MainWindow, AppState]]:
    _, made, state = build(tmp_path / "home")
    qtbot.addWidget(made)
    made.show()
    with qtbot.waitSignal(state.checkpoint_changed, check_params_cb=lambda: not state.checkpoint_busy):
        state.open_model(str(tiny_llama_bf16))
    yield made, state
    state.close()


def test_every_page_is_reached_by_its_shortcut_and_opens(qtbot, window) -> None:
    frame, state = window
    assert list(frame.pages)[:2] == ["model", "fit"]
    assert list(frame.pages)[-1] == "settings"
    for page_id in frame.pages:
        state.request_page(page_id)
        assert frame.page_id == page_id
        assert frame.page(page_id).isVisible()


def test_no_two_pages_share_a_shortcut(window) -> None:
    frame, _ = window
    shortcuts = [page.shortcut for page in frame.pages.values()]
    assert len(set(shortcuts)) == len(shortcuts)


def test_the_steps_of_the_rail_are_numbered_without_a_gap(window) -> None:
    frame, _ = window
    steps = [page.shortcut for page in frame.pages.values() if not page.at_foot]
    assert steps == [f"Ctrl+{place}" for place in range(1, len(steps) + 1)]


def test_everything_that_takes_the_focus_has_a_name(window) -> None:
    frame, state = window
    nameless = []
    for page_id in frame.pages:
        state.request_page(page_id)
        for widget in frame.findChildren(QWidget):
            part_of_another = isinstance(widget.parent(), QAbstractSpinBox | QComboBox)
            if not isinstance(widget, SPEAKING) or part_of_another or not widget.isVisibleTo(frame):
                continue
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                text = widget.text() if isinstance(widget, QAbstractButton) else ""
                if not (widget.accessibleName() or text):
                    nameless.append(f"{page_id}: {type(widget).__name__} in {type(widget.parent()).__name__}")
    assert not nameless


@pytest.mark.parametrize("theme", THEMES)
def test_the_window_works_at_its_smallest_size_in_every_theme(window, theme: str) -> None:
    frame, state = window
    state.change_settings(theme=theme)
    frame.resize(frame.minimumSize())
    for page_id in frame.pages:
        picture = frame.grab_page(page_id)
        assert picture.size() == frame.size()
    assert (frame.width(), frame.height()) == (1024, 700)


def test_a_dropped_folder_is_opened(qtbot, window, tiny_llama_sharded: Path) -> None:
    frame, state = window
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tiny_llama_sharded))])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    event = QDropEvent(QPoint(5, 5), copy, data, left, Qt.KeyboardModifier.NoModifier)
    with qtbot.waitSignal(state.checkpoint_changed, check_params_cb=lambda: not state.checkpoint_busy):
        frame.dropEvent(event)
    assert state.checkpoint is not None
    assert state.checkpoint.path == str(tiny_llama_sharded)


def test_messages_come_and_escape_takes_them_away(qtbot, window) -> None:
    frame, state = window
    state.message.emit(UserError("The disk is full.", hint="Free 2 GB.", details="errno 28"))
    assert frame._messages.isVisible()
    qtbot.keyClick(frame, Qt.Key.Key_Escape)
    assert not frame._messages.isVisible()


def test_the_palette_finds_by_words_and_runs_by_enter(qtbot, window) -> None:
    frame, state = window
    frame.show_commands()
    palette = frame.findChild(CommandPalette)
    palette.input.setText("theme dark")
    assert palette.list.topLevelItemCount() == 1
    qtbot.keyClick(palette.input, Qt.Key.Key_Return)
    assert state.settings.theme == "dark"
    assert not palette.isVisible()


def test_help_names_the_page_and_every_word(qtbot, window) -> None:
    frame, _ = window
    frame.show_help()
    dialog = frame.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)[-1]
    assert dialog.windowTitle() == "What is this?"
    dialog.close()


def test_the_palette_offers_what_can_be_done_with_the_open_model(window) -> None:
    frame, state = window

    def titles() -> set[str]:
        frame.show_commands()
        palette = frame.findChildren(CommandPalette)[-1]
        found = {command.title for command in palette._commands}
        palette.close()
        return found

    assert "Export the open model as ONNX…" in titles()
    assert "Compute an importance matrix…" not in titles(), "only types of GGUF take one"
    state.set_recipe(Recipe(SchemeSpec("Q4_K_M")))
    assert "Compute an importance matrix…" in titles()
