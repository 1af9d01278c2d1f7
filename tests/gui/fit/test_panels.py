"""The other parts of the Fit page: devices side by side, fine-tuning, questions, exports."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication, QImage
from PySide6.QtWidgets import QLineEdit

from quantgui.fit.questions import default_targets
from quantgui.fit.training import TrainingKind
from quantgui.gui import glossary
from quantgui.gui.app_state import AppState
from quantgui.gui.fit import export_menu, training_panel
from quantgui.gui.fit.ask_panel import AskPanel
from quantgui.gui.fit.columns import COLUMNS
from quantgui.gui.fit.compare_panel import ComparePanel
from quantgui.gui.fit.groups import TITLES
from quantgui.gui.fit.latest import Latest
from quantgui.gui.fit.legend import Mark
from quantgui.gui.fit.training_panel import TrainingPanel
from quantgui.gui.fit.view import FitPage
from quantgui.gui.fit.words import PARTS, RUNTIMES
from quantgui.hardware.catalogue import target

WAIT_MS = 20_000


@pytest.fixture
def opened(qtbot, state: AppState, tiny_llama_folder) -> AppState:
    state.choose_hardware(target("RTX 3060"))
    with qtbot.waitSignal(state.fit_changed):
        state.open_model(str(tiny_llama_folder))
    return state


def name_field(panel: ComparePanel) -> QLineEdit:
    field = panel.findChild(QLineEdit)
    assert isinstance(field, QLineEdit)
    return field


def finished(panel: ComparePanel) -> bool:
    return all(line.found is not None or line.error for line in panel.table.rows_model.rows)


def test_devices_stand_side_by_side_can_be_added_removed_and_are_remembered(qtbot, opened: AppState) -> None:
    panel = ComparePanel(opened)
    qtbot.addWidget(panel)
    panel.show()
    qtbot.waitUntil(lambda: finished(panel), timeout=WAIT_MS)
    names = [line.hardware.name for line in panel.table.rows_model.rows]
    assert names == [hardware.name for hardware in default_targets(opened.machine)]
    assert all(line.verdict is not None or line.error for line in panel.table.rows_model.rows)
    name_field(panel).setText("2xRTX 5090")
    panel._add()
    qtbot.waitUntil(lambda: finished(panel), timeout=WAIT_MS)
    panel.table.selectRow(1)
    panel._remove()
    again = ComparePanel(opened)
    qtbot.addWidget(again)
    expected = [names[0], *names[2:], "2 × RTX 5090 · 32 GB"]
    assert [line.hardware.name for line in again.table.rows_model.rows] == expected


def test_a_device_that_does_not_exist_is_refused_where_it_was_typed(qtbot, opened: AppState) -> None:
    panel = ComparePanel(opened)
    qtbot.addWidget(panel)
    panel.show()
    count = len(panel.table.rows_model.rows)
    name_field(panel).setText("Abacus 9000")
    panel._add()
    assert panel._error.isVisible()
    assert len(panel.table.rows_model.rows) == count


def test_a_compared_device_can_become_the_windows_hardware(qtbot, opened: AppState) -> None:
    panel = ComparePanel(opened)
    qtbot.addWidget(panel)
    panel.table.selectRow(2)
    panel._use()
    line = panel.table.current()
    assert line is not None
    assert opened.hardware == line.hardware


def test_fine_tuning_follows_its_fields(qtbot, opened: AppState) -> None:
    panel = TrainingPanel(opened)
    qtbot.addWidget(panel)
    panel.show()
    rows = {row.kind: row for row in panel.table.rows_model.rows}
    assert set(rows) == set(TrainingKind)
    panel._sequence.setValue(2 * panel._sequence.value())
    for row in panel.table.rows_model.rows:
        assert row.total_bytes > rows[row.kind].total_bytes


def test_every_question_is_answered_in_a_sentence(qtbot, opened: AppState) -> None:
    panel = AskPanel(opened, lambda: "INT4")
    qtbot.addWidget(panel)
    panel.show()
    assert panel._longest_question.answer.endswith(".")
    assert panel._speed_question.answer.endswith(".")
    panel._find_slots()
    panel._find_smallest()
    waiting = (panel._slots, panel._smallest)
    qtbot.waitUntil(lambda: not any(search.is_busy for search in waiting), timeout=WAIT_MS)
    assert "INT4" in panel._slots_question.answer
    assert "INT4" in panel._smallest_question.answer
    panel._take_device()
    assert panel._device is not None
    assert opened.hardware == panel._device.hardware


def test_a_change_forgets_the_answers_it_makes_stale(qtbot, opened: AppState) -> None:
    panel = AskPanel(opened, lambda: "INT4")
    qtbot.addWidget(panel)
    panel.show()
    panel._find_slots()
    opened.change_fit(context=512)
    panel._settle.now()
    assert panel._slots_question.answer == ""
    assert not panel._slots.is_busy


def test_exports_hold_every_row_with_its_command(opened: AppState) -> None:
    table = list(csv.DictReader(io.StringIO(export_menu.as_csv(opened))))
    everything = json.loads(export_menu.as_json(opened))
    ids = [e.scheme_id for e in opened.estimates]
    assert [row["id"] for row in table] == [row["id"] for row in everything["rows"]] == ids
    assert all(row["command"] for row in table)
    assert everything["context"] == opened.fit_settings.context


def test_the_picture_is_as_tall_as_the_table_is_long(qtbot, opened: AppState, tmp_path: Path) -> None:
    page = FitPage(opened)
    qtbot.addWidget(page)
    page._save_picture(tmp_path / "folded.png")
    for group in page.fits.table.view.lines.groups:
        page.fits.table.view.unfold_asked.emit(group.id)
    page._save_picture(tmp_path / "unfolded.png")
    folded, unfolded = QImage(str(tmp_path / "folded.png")), QImage(str(tmp_path / "unfolded.png"))
    assert not folded.isNull()
    assert unfolded.height() > folded.height()
    assert unfolded.width() == folded.width()


def test_the_command_of_the_picked_row_can_be_copied(qtbot, opened: AppState) -> None:
    page = FitPage(opened)
    qtbot.addWidget(page)
    page.fits.picked.emit("BF16")
    page.fits.details.copy_command()
    assert QGuiApplication.clipboard().text() == export_menu.command(opened, "BF16") != ""


@pytest.mark.parametrize(
    "word",
    [
        *(column.word or column.title for column in (*COLUMNS, *training_panel.COLUMNS)),
        *PARTS.values(),
        *(mark.value for mark in Mark),
        *RUNTIMES.values(),
        *TITLES,
        *("Context", "Slots", "KV cache type", "Runtime", "Devices", "Batch", "Flash attention", "Importance matrix"),
        *("Gradient checkpointing", "Rank", "Sequence", "Optimizer", "Rule of thumb", "Recommended"),
    ],
)
def test_every_word_of_the_page_is_explained(word: str) -> None:
    assert glossary.explain(word)


def test_of_two_requests_only_the_newer_answers_and_a_failure_is_said(qtbot, opened: AppState) -> None:
    owner = QObject()
    latest = Latest(opened, owner)
    arrived: list[object] = []
    latest.arrived.connect(arrived.append)
    latest.ask(lambda: 1)
    with qtbot.waitSignal(latest.arrived):
        latest.ask(lambda: 2)
    assert arrived == [2]
    with qtbot.waitSignal(latest.failed) as failed:
        latest.ask(lambda: 1 // 0)
    assert "ZeroDivisionError" in failed.args[0].details
    assert not latest.is_busy
