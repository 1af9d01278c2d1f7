"""The page shows the finished run and writes it to one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel

from quantgui.gui.app_state import AppState
from quantgui.gui.pages.report_page import ReportPage
from quantgui.home import Home
from quantgui.jobs.events import QuantizeResult, Verification, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RunRecord, keep_quality, write_run
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import ErrorStats, Role, TensorReport
from tests.jobs import samples


@pytest.fixture
def state(qtbot, tmp_path: Path) -> Iterator[AppState]:
    made = AppState(Home.below(tmp_path / "state"))
    yield made
    made.close()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny-INT4"
    folder.mkdir()
    job = QuantizeJob("/models/tiny", str(folder), Recipe(SchemeSpec("INT4")))
    verification = Verification(VerificationStatus.VERIFIED, "All is well.", "transformers")
    result = QuantizeResult(job, str(folder), 8000, 2000, 2100, 4000, 1.0, None, verification)
    error = ErrorStats(1e-6, 1e-3, 21.3, 0.1, 0.99, 0.0, 0.1)
    up = "model.layers.0.mlp.up_proj.weight"
    report = TensorReport(up, (64, 64), Role.MLP, 0, "mlp.up", "INT4", 4.1, 8000, 2000, error=error)
    write_run(folder, RunRecord(result, {"torch": "2"}, {"model.safetensors": "ab" * 32}), [report])
    return folder


def texts(page: ReportPage) -> str:
    return " ".join(label.text() for label in page.findChildren(QLabel))


def test_without_a_run_it_says_how_to_get_one(qtbot, state):
    page = ReportPage(state)
    qtbot.addWidget(page)
    assert page._stack.currentIndex() == 0
    assert not page.export(Path("nowhere.html"))


def test_a_run_from_the_library_is_shown_and_exported(qtbot, state, run_folder):
    page = ReportPage(state)
    qtbot.addWidget(page)
    state.load_run(str(run_folder))
    assert page._stack.currentIndex() == 1
    assert "INT4 in groups of 128: 2.00\u00a0kB instead of 8.00\u00a0kB" in texts(page)
    assert "The weakest spot is layer 0 · mlp.up" in texts(page)
    path = run_folder / "report.html"
    assert page.export(path)
    text = path.read_text(encoding="utf-8")
    assert "ab" * 32 in text  # hashes come from the record on disk
    assert str(path) in texts(page)


def test_what_was_measured_of_a_run_is_there_when_it_is_opened_again(qtbot, state, run_folder):
    keep_quality(run_folder, samples.quality())
    page = ReportPage(state)
    qtbot.addWidget(page)
    state.load_run(str(run_folder))
    assert "12.519" in texts(page)
    assert page.export(run_folder / "report.html")
    assert "12.519 ± 0.120" in (run_folder / "report.html").read_text(encoding="utf-8")


def test_a_report_that_cannot_be_written_is_said(qtbot, state, run_folder):
    page = ReportPage(state)
    qtbot.addWidget(page)
    state.load_run(str(run_folder))
    assert not page.export(run_folder / "missing" / "report.html")
    assert "report.html could not be written." in texts(page)
