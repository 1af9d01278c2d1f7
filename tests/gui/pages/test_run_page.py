"""The Run page on recorded tapes: before, during, after; and the library beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QPushButton, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.main_window import SMALLEST_SIZE
from quantgui.gui.pages.run_page import RunPage
from quantgui.gui.plots.loss_trace import LossTrace
from quantgui.gui.plots.sqnr_heat_map import SqnrHeatMap
from quantgui.gui.run.library_panel import LibraryPanel
from quantgui.gui.tensor_table import COLUMNS
from quantgui.gui.widgets.rail import WIDTH as RAIL_WIDTH
from quantgui.home import Home
from quantgui.jobs.events import (
    Cancelled,
    Evaluation,
    Event,
    Failed,
    Finished,
    PairedScore,
    Progress,
    Stage,
    Started,
    TensorDone,
)
from quantgui.jobs.fold import RunState, fold, fold_all
from quantgui.jobs.job import EvaluateJob, QuantizeJob
from quantgui.jobs.run_record import write_run
from quantgui.jobs.saved_training import training_file
from quantgui.pipeline import run
from quantgui.schemes.recipe import Recipe, SchemeSpec
from tests.gui.tapes import quantize_tape, training_tape
from tests.jobs import samples
from tests.pipeline.gguf_models import write_wide_llama


@pytest.fixture
def state(qtbot: QtBot, home: Path, tiny_llama_folder: Path) -> Iterator[AppState]:
    made = AppState(Home.below(home))
    with qtbot.waitSignal(made.fit_changed, timeout=20_000):
        made.open_model(str(tiny_llama_folder))
    yield made
    made.close()


@pytest.fixture
def page(qtbot: QtBot, state: AppState) -> RunPage:
    made = RunPage(state)
    qtbot.addWidget(made)
    made.resize(1100, 720)
    made.show()
    return made


def words(widget: QWidget) -> str:
    """All text that can be seen."""
    QApplication.processEvents()
    labels = [label.text() for label in widget.findChildren(QLabel) if label.isVisible()]
    buttons = [f"[{button.text().strip()}]" for button in widget.findChildren(QPushButton) if button.isVisible()]
    return "\n".join(labels + buttons)


def press(widget: QWidget, name: str) -> None:
    """Click the visible button whose text is `name` or whose accessible name begins with it."""
    QApplication.processEvents()
    buttons = [button for button in widget.findChildren(QAbstractButton) if button.isVisible()]
    exact = [button for button in buttons if button.text() == name]
    (exact or [button for button in buttons if button.accessibleName().startswith(name)])[0].click()


@pytest.fixture
def show(state: AppState, page: RunPage, qtbot: QtBot) -> Callable[[RunState], str]:
    def show_it(run: RunState) -> str:
        state._run.state = run
        state.run_changed.emit()
        page._throttle.now()
        return words(page)

    return show_it


def test_before_a_run_everything_is_said_and_the_button_is_ready(page: RunPage) -> None:
    text = words(page)
    assert "INT4" in text
    assert "free on this disk" in text
    assert "[Quantize]" in text
    assert page._start.isEnabled()


@pytest.mark.parametrize("scheme", ["INT4", "Q4_K_M"])
def test_nothing_is_cut_off_in_the_smallest_window(page: RunPage, state: AppState, scheme: str) -> None:
    state.set_recipe(Recipe(SchemeSpec(scheme)))
    page.resize(SMALLEST_SIZE.width() - RAIL_WIDTH, SMALLEST_SIZE.height())
    QApplication.processEvents()
    (area,) = [one for one in page.findChildren(QScrollArea) if one.isVisible() and one.accessibleName() == "Run"]
    assert not area.horizontalScrollBar().isVisible()


def test_a_taken_folder_is_a_question_beside_the_field(page: RunPage, state: AppState) -> None:
    output = Path(state.default_output())
    output.mkdir(parents=True)
    write_run(output, samples.record(str(output)), [])
    page.set_up_again()
    assert not page._start.isEnabled()
    assert "Replace" in page._prepare._replace.box.text() and page._prepare._replace.box.isVisible()
    page._prepare._replace.box.setChecked(True)
    page._throttle.now()
    assert page._start.isEnabled()
    page._prepare._use_new_name()
    page._throttle.now()
    assert page._start.isEnabled()
    assert page._prepare._output.text().endswith("-2")


def test_rounding_a_second_time_takes_a_yes(
    page: RunPage, state: AppState, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = write_wide_llama(tmp_path / "wide"), tmp_path / "wide-Q8_0.gguf"
    run(QuantizeJob(str(folder), str(file), Recipe(SchemeSpec("Q8_0")), verify=False), lambda event: None)
    with qtbot.waitSignal(state.fit_changed, timeout=20_000):
        state.open_model(str(file))
    state.set_recipe(Recipe(SchemeSpec("Q4_K_M")))
    page.set_up_again()
    assert "already quantized; rounding it a second time adds to the loss" in words(page)
    assert "--allow-requantize" not in words(page)
    assert not page._start.isEnabled()
    page._prepare._again.box.setChecked(True)
    page._throttle.now()
    assert page._start.isEnabled()
    jobs: list[QuantizeJob] = []
    monkeypatch.setattr(state._run, "start", jobs.append)
    page._prepare.start()
    assert jobs[0].allow_requantize
    state.open_model(str(folder))
    qtbot.waitUntil(lambda: not page._prepare._again.isVisible())
    assert not page._prepare._again.is_given


def test_files_of_others_cannot_be_replaced(page: RunPage, state: AppState) -> None:
    output = Path(state.default_output())
    output.mkdir(parents=True)
    (output / "thesis.tex").write_text("x")
    page.set_up_again()
    assert page._prepare._replace.isVisible() and not page._prepare._replace.box.isVisible()
    assert not page._start.isEnabled()


def test_starting_hands_the_choices_to_the_state(
    page: RunPage, state: AppState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    jobs: list[QuantizeJob] = []
    monkeypatch.setattr(state._run, "start", jobs.append)
    page._prepare._output.setText(str(tmp_path / "mine"))
    page._prepare._verify.setChecked(False)
    page.start()
    (job,) = jobs
    assert (job.output, job.verify, job.overwrite, job.device) == (str(tmp_path / "mine"), False, False, "cpu")


def test_during_a_run_progress_memory_and_rows_are_there(show: Callable[[RunState], str], page: RunPage) -> None:
    text = show(quantize_tape(3).state(30))
    assert "MB read" in text or "kB read" in text
    assert "Memory of the run" in text
    assert "At work: layer 0 · mlp.down" in text and "model.layers" not in text
    assert "No word for" in text and page._clock.isActive(), "the tape's clock stopped long ago"
    assert "[Cancel]" in text and "[Quantize]" not in text
    assert page._progress._model.rowCount() == len(quantize_tape(3).state(30).reports)


def test_after_a_run_size_worst_tensor_verdict_place_and_next_steps_are_there(
    show: Callable[[RunState], str],
) -> None:
    text = show(quantize_tape(3).state())
    for expected in (
        "instead of",
        "Bits per weight",
        "Verified",
        "/outputs/demo-INT4",
        "mlp.down",
        "[Inspect]",
        "[Report]",
    ):
        assert expected in text, expected


def test_a_failure_says_what_to_do(show: Callable[[RunState], str], page: RunPage) -> None:
    text = show(fold(quantize_tape(3).state(10), Failed("It broke.", "Try again.", "trace"), 99.0))
    assert "It broke." in text and "Try again." in text
    page.set_up_again()
    assert "[Quantize]" in words(page)


def test_a_cancelled_run_leaves_the_way_back(show: Callable[[RunState], str]) -> None:
    assert "cancelled" in show(fold(quantize_tape(3).state(10), Cancelled(), 99.0))


def test_a_training_shows_its_loss_and_can_be_stopped(
    show: Callable[[RunState], str], page: RunPage, state: AppState, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(state.runs.main, "stop_early", lambda: asked.append("stop"))
    text = show(training_tape().state())
    assert "40 of 50 steps" in text and "per step" in text and "left" in text
    loss = page.findChild(LossTrace)
    assert loss is not None and loss.isVisible() and not page._progress._finished.isVisible()
    assert len(loss.table().rows) == 40
    press(page, "Stop here and convert")
    assert asked == ["stop"]
    text = show(fold(training_tape().state(), Stage("Quantizing"), 200.0))
    assert "[Stop here and convert]" not in text and page._progress._finished.isVisible()


def test_tensors_fall_into_the_heat_map_while_they_finish(show: Callable[[RunState], str], page: RunPage) -> None:
    show(quantize_tape(3).state(30))
    heat_map = page.findChild(SqnrHeatMap)
    assert heat_map is not None and heat_map.isVisible() and len(heat_map.table().rows) > 3


def test_calibrated_tensors_show_their_error_after_and_before_the_search(
    show: Callable[[RunState], str], page: RunPage
) -> None:
    def columns() -> list[str]:
        table = page._progress._table
        return [c.title for i, c in enumerate(COLUMNS) if not table.isColumnHidden(i)]

    show(quantize_tape(3).state(30))
    assert "Output error" not in columns()
    report = replace(
        next(iter(quantize_tape(3).state().reports.values())), output_error=0.01, output_error_rounded=0.03
    )
    show(fold(quantize_tape(3).state(30), TensorDone(report), 40.0))
    assert {"Output error", "If rounded"} <= set(columns())


def test_a_cancelled_training_can_go_on(
    show: Callable[[RunState], str], page: RunPage, state: AppState, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = training_tape().state()
    run = replace(run, job=replace(training_tape().job, cache=str(tmp_path)))
    assert "Go on training" not in show(fold(run, Cancelled(), 99.0))
    saved = training_file(tmp_path, run.job.id)
    saved.parent.mkdir()
    saved.write_bytes(b"")
    assert "40 of 50 steps were done" in show(fold(run, Failed("It broke."), 99.0))
    jobs: list[QuantizeJob] = []
    monkeypatch.setattr(state.runs.main, "start", jobs.append)
    press(page, "Go on training")
    (job,) = jobs
    assert (job.resume, job.training_id) == (run.job.id, run.job.id)
    assert job.id != run.job.id


def test_quality_is_measured_before_and_after(
    show: Callable[[RunState], str], page: RunPage, state: AppState, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(quantize_tape(3).state())
    jobs: list[EvaluateJob] = []
    monkeypatch.setattr(state.runs.quality, "start", jobs.append)
    press(page, "Measure quality")
    (job,) = jobs
    assert (job.source, job.against) == ("/outputs/demo-INT4", "/models/demo")

    def measured(*events: Event) -> str:
        state.runs.quality.state = fold_all(RunState(job, started_at=0.0), events, 5.0)
        state.runs.quality.changed.emit()
        return words(page)

    assert "Scoring the text: demo" in measured(Started("x", 1000, 0), Stage("Scoring the text", "demo"), Progress(400))
    assert "40" in words(page) and "[Cancel]" in words(page)
    text = measured(Failed("No room.", "Close other programs."))
    assert "No room." in text and "[Measure quality]" in text
    paired = PairedScore("/models/demo", 12.1669, 0.12, 0.0285, 0.0012)
    text = measured(Finished(evaluation=Evaluation(79187, 12.519, 0.12, 512, "evaluation.txt", 80.0, paired)))
    assert "12.167 ± 0.120" in text and "12.519 ± 0.120" in text and "79 187 tokens" in text.replace("\u202f", " ")
    assert "worse: perplexity 2.9" in text and "[Measure quality]" not in text
    other = quantize_tape(3, "/outputs/another")
    assert "12.519" not in show(other.state())


def test_the_verification_is_said_once(show: Callable[[RunState], str]) -> None:
    assert show(quantize_tape(3).state()).count("Verified") == 1


def test_the_library_opens_deletes_and_offers_what_was_left(qtbot: QtBot, state: AppState, page: RunPage) -> None:
    tape = quantize_tape(2)
    folder = state.outputs_folder / "finished"
    folder.mkdir(parents=True)
    write_run(folder, samples.record(str(folder)), tape.state().reports.values())
    partial = state.outputs_folder / "broken.partial-0123abcd"
    partial.mkdir()
    library = page.findChild(LibraryPanel)
    assert library is not None
    library.refresh()
    assert "finished" in words(library) and "unfinished run" in words(library)
    with qtbot.waitSignal(state.run_changed):
        library.opened.emit(str(folder))
    assert state.run is not None and len(state.run.reports) == len(tape.state().reports)
    press(library, "Remove broken")
    assert not partial.exists()
    press(library, "Delete finished")
    assert folder.exists(), "deleting asks first"
    press(library, "Delete")
    assert not folder.exists()


def test_a_gguf_file_is_asked_for_and_checked_as_one(state: AppState, page: RunPage) -> None:
    state.set_recipe(Recipe(SchemeSpec("Q8_0")))
    text = words(page)
    assert "Output file" in text and "Output folder" not in text
    assert page._prepare.objection is None and page._start.isEnabled()
    output = Path(state.default_output())
    output.parent.mkdir(parents=True)
    output.write_bytes(b"not ours")
    page._prepare.refresh()
    assert page._prepare.objection is not None and "already exists" in page._prepare.objection.message
    page._prepare._output.setText(str(output.parent / "folder"))
    assert "does not end in .gguf" in page._prepare.objection.message


def test_a_type_that_needs_an_importance_matrix_says_so_before_the_start(
    state: AppState, page: RunPage, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(state.fit_changed, timeout=20_000):
        state.open_model("demo")  # its rows fill blocks of 256
    state.set_recipe(Recipe(SchemeSpec("IQ2_XXS")))
    assert "needs an importance matrix" in words(page)
    assert not page._start.isEnabled()
