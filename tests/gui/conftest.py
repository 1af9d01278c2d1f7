"""An AppState that writes into the test's own folder and stops with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.home import Home

OFFSCREEN_NOTES = "This plugin does not support"
"""What the offscreen platform says about window managers; nothing is wrong where there is none."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every other warning of Qt fails the test."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.qt_log_ignore(OFFSCREEN_NOTES, extend=True))


@pytest.fixture
def make_state(qtbot: QtBot, tmp_path: Path) -> Iterator[Callable[[], AppState]]:
    """Makes states that share one home, as two starts of the application do."""
    made: list[AppState] = []

    def make() -> AppState:
        made.append(AppState(Home.below(tmp_path / "state")))
        return made[-1]

    yield make
    for state in made:
        state.close()


@pytest.fixture
def state(make_state: Callable[[], AppState]) -> AppState:
    """A fresh state with nothing open."""
    return make_state()
