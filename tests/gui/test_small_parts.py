"""History, background, home, glossary, diagnostics, formatting: small promises each."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QThread

from quantgui.gui import diagnostics, formatting, glossary, icons
from quantgui.gui.background import Background
from quantgui.gui.history import History
from quantgui.gui.pages import discover
from quantgui.home import VARIABLE, find_home
from quantgui.types import GIB


@given(st.lists(st.integers(0, 3), max_size=20))
def test_undoing_everything_leads_back_and_redoing_leads_forth(values: list[int]) -> None:
    history = History(-1)
    for value in values:
        history.push(value)
    last = history.value
    steps = 0
    while history.undo():
        steps += 1
    assert history.value == -1
    for _ in range(steps):
        assert history.redo()
    assert history.value == last
    assert not history.can_redo


def test_a_new_value_drops_what_was_undone() -> None:
    history = History(1)
    history.push(2)
    history.undo()
    history.push(3)
    assert not history.redo()
    assert history.value == 3


def test_background_delivers_on_the_gui_thread_in_order(qtbot, qapp) -> None:
    background = Background()
    heard: list[tuple[int, bool]] = []

    def hear(done: Future[int]) -> None:
        heard.append((done.result(), QThread.currentThread() is qapp.thread()))

    for number in range(5):
        background.run(lambda number=number: number, hear)
    qtbot.waitUntil(lambda: len(heard) == 5)
    background.close()
    assert heard == [(number, True) for number in range(5)]


def test_background_hands_on_what_was_raised(qtbot) -> None:
    background = Background()
    heard: list[Any] = []
    background.run(lambda: 1 / 0, lambda done: heard.append(done.exception()))
    qtbot.waitUntil(lambda: bool(heard))
    background.close()
    assert isinstance(heard[0], ZeroDivisionError)


def test_a_closed_background_delivers_nothing(qtbot, qapp) -> None:
    background = Background()
    gate, heard = threading.Event(), []
    background.run(gate.wait, heard.append)
    gate.set()
    background.close()
    qapp.processEvents()
    assert not heard


def test_one_variable_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    home = find_home()
    for place in (home.settings_file, home.session_file, home.log_file, home.cache, home.outputs):
        assert place.is_relative_to(tmp_path)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_every_platform_has_places_below_the_person(platform: str, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for variable in ("APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    home = find_home()
    places = {home.config, home.cache, home.logs, home.outputs}
    assert len(places) == 4
    assert all(place.is_relative_to(tmp_path) for place in places)


def test_the_glossary_is_one_sentence_per_word_in_order() -> None:
    words = list(glossary.entries())
    assert words == sorted(words, key=str.lower)
    assert all(text.endswith(".") and len(text) < 220 for text in glossary.entries().values())
    assert glossary.explain("kv CACHE") == glossary.explain("KV cache") != ""
    assert glossary.explain("no such word") == ""


def test_every_page_has_an_icon_that_can_be_drawn(qapp) -> None:
    for page in discover():
        assert not icons.pixmap(page.icon, 16).toImage().isNull()


def test_icons_take_the_colour_they_are_given(qapp) -> None:
    image = icons.pixmap("stop", 24, "#ff0000").toImage()
    drawn = {
        image.pixelColor(x, y).name() for x in range(72) for y in range(72) if image.pixelColor(x, y).alpha() == 255
    }
    assert drawn == {"#ff0000"}


def test_diagnostics_hold_versions_and_the_end_of_the_log(tmp_path: Path) -> None:
    handler = diagnostics.start_log(tmp_path / "logs" / "quantgui.log")
    logging.getLogger("quantgui.test").warning("something to remember")
    text = diagnostics.collect()
    diagnostics.stop_log(handler)
    assert "QuantGUI" in text
    assert "PySide6" in text
    assert text.endswith("something to remember")


def test_memory_follows_the_chosen_unit_and_files_do_not() -> None:
    try:
        formatting.use_memory_unit("GB")
        assert formatting.memory(GIB) == "1.07\u00a0GB"
        assert formatting.memory_axis(GIB) == (1e9, "GB")
    finally:
        formatting.use_memory_unit("GiB")
    assert formatting.memory(GIB) == "1.00\u00a0GiB"
    assert formatting.memory_axis(GIB / 4) == (2**20, "MiB")
    assert formatting.file_size(GIB) == "1.07\u00a0GB"


@pytest.mark.parametrize(
    ("value", "text"), [(8192, "8k"), (131_072, "128k"), (1 << 20, "1M"), (1000, "1\u202f000"), (512, "512")]
)
def test_contexts_are_short_where_they_are_round(value: int, text: str) -> None:
    assert formatting.tokens(value) == text
