"""The Inspect page on recorded tapes: it fills while a run is at work, and its parts follow one selection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.inspect.compare_menu import CompareMenu
from quantgui.gui.inspect.view import InspectView
from quantgui.home import Home
from quantgui.jobs.events import Finished
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import InspectJob, QuantizeJob
from quantgui.jobs.run_record import RunRecord, record_folder, write_run
from quantgui.report.findings import worst
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint, SourceKind
from tests.gui.tapes import quantize_tape


@pytest.fixture
def state(qtbot: QtBot, home: Path) -> Iterator[AppState]:
    made = AppState(Home.below(home))
    yield made
    made.close()


@pytest.fixture
def view(qtbot: QtBot, state: AppState) -> InspectView:
    made = InspectView(state)
    qtbot.addWidget(made)
    made.resize(1100, 720)
    made.show()
    return made


def show(state: AppState, view: InspectView, run: RunState) -> None:
    state._run.state = run
    state.run_changed.emit()
    view._throttle.now()


def test_an_empty_page_teaches(view: InspectView) -> None:
    assert view._stack.currentIndex() == 0


def test_the_table_fills_while_the_run_is_at_work(state: AppState, view: InspectView) -> None:
    tape = quantize_tape(3)
    for count in (12, 30, 60):
        run = tape.state(count)
        show(state, view, run)
        assert view._tensors.model.rowCount() == len(run.reports)
    assert state.selected_tensor is None, "a running job selects nothing by itself"


def test_after_the_end_the_worst_tensor_is_selected_everywhere(state: AppState, view: InspectView) -> None:
    run = quantize_tape(3).state()
    show(state, view, run)
    (lowest,) = worst(run.reports.values(), 1)
    assert state.selected_tensor == lowest.name
    assert lowest.short_name in view._frame._title.text()
    row = view._tensors.view.currentIndex().row()
    assert view._tensors.model.report_at(row).name == lowest.name
    assert view._plots._name.text() == lowest.short_name


def test_choosing_a_row_moves_every_part(state: AppState, view: InspectView) -> None:
    run = quantize_tape(3).state()
    show(state, view, run)
    view._tensors.view.setCurrentIndex(view._tensors.model.index(4, 0))
    report = view._tensors.model.report_at(4)
    assert state.selected_tensor == report.name
    assert view._plots._name.text() == report.short_name


def test_the_sort_order_is_remembered(state: AppState, view: InspectView, qtbot: QtBot) -> None:
    from PySide6.QtCore import Qt

    show(state, view, quantize_tape(3).state())
    view._tensors.view.sortByColumn(2, Qt.SortOrder.DescendingOrder)
    again = InspectView(state)
    qtbot.addWidget(again)
    header = again._tensors.view.horizontalHeader()
    assert (header.sortIndicatorSection(), header.sortIndicatorOrder()) == (2, Qt.SortOrder.DescendingOrder)


def test_the_table_is_exported_as_it_is_shown(state: AppState, view: InspectView, tmp_path: Path) -> None:
    show(state, view, quantize_tape(3).state())
    view._tensors._search.setText("mlp.down")
    view._tensors.save(tmp_path / "table.csv")
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + 3


def test_the_open_model_is_compared_with_what_it_was_made_from(
    state: AppState, view: InspectView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str | None] = []
    monkeypatch.setattr(state, "start_inspect", started.append)
    source = tmp_path / "original"
    source.mkdir()
    path = tmp_path / "model.gguf"
    outcome = quantize_tape(2).state().outcome
    assert isinstance(outcome, Finished) and outcome.quantized is not None
    job = QuantizeJob(str(source), str(path), Recipe(SchemeSpec("Q4_K_M")))
    record_folder(path).mkdir()
    write_run(record_folder(path), RunRecord(replace(outcome.quantized, job=job)), ())
    menu = CompareMenu(state, view)
    for model, is_known in ((path, True), (tmp_path / "other.gguf", False)):
        state._checkpoint = Checkpoint(model.stem, SourceKind.GGUF, str(model), ())
        menu.aboutToShow.emit()
        assert menu._made_from.isEnabled() is is_known
        menu._made_from.trigger()
    assert started == [str(source)]


def test_any_file_is_offered_to_compare_with(
    state: AppState, view: InspectView, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str | None] = []
    monkeypatch.setattr(state, "start_inspect", started.append)
    chosen = iter(("/models/a.gguf", ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (next(chosen), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/models/folder")
    menu = CompareMenu(state, view)
    _, folder, file = menu.actions()
    file.trigger()
    file.trigger()
    folder.trigger()
    assert started == ["/models/a.gguf", "/models/folder"], "a dialog that is put away starts nothing"


def test_a_measured_model_says_what_it_is_compared_with_and_its_bits(state: AppState, view: InspectView) -> None:
    run = replace(quantize_tape(2).state(), job=InspectJob("/models/a.gguf", against="/models/original"))
    show(state, view, run)
    words = view._frame._subtitle.text()
    assert "/models/a.gguf" in words and "/models/original" in words
    assert f"{run.reports.bits_per_weight:.2f}" in words
