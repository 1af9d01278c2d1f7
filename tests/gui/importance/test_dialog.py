"""The step that computes an importance matrix, with events instead of a child process; and once with a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLabel, QWidget
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.importance.dialog import ImportanceDialog
from quantgui.gui.job_strip import JobStrip
from quantgui.jobs.events import Cancelled, Failed, Finished, ImatrixResult, Progress, Stage, Started
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import Calibration, ImatrixJob
from quantgui.schemes.recipe import Recipe, SchemeSpec
from tests.gui.importance.conftest import write_for
from tests.gui.tapes import quantize_tape

AT_WORK = (Started("x", 100, 2), Stage("Running the text through the model"), Progress(40))


@pytest.fixture
def dialog(opened: AppState, qtbot: QtBot) -> Iterator[ImportanceDialog]:
    parent = QWidget()
    parent.resize(1280, 800)
    qtbot.addWidget(parent)
    made = ImportanceDialog(opened, parent)
    made.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # the tests look at it afterwards
    made.show()
    yield made


def words(dialog: ImportanceDialog) -> str:
    """All text that can be seen."""
    QApplication.processEvents()
    labels = [label.text() for label in dialog.findChildren(QLabel) if label.isVisibleTo(dialog)]
    return "\n".join(labels).replace("\u202f", " ")


def buttons(dialog: ImportanceDialog) -> list[str]:
    made = (dialog._close, dialog._cancel, dialog._start)
    return [b.text() for b in made if b.isVisibleTo(dialog) and b.isEnabled()]


def result_of(job: ImatrixJob, unreached: tuple[str, ...] = ()) -> Finished:
    return Finished(imatrix=ImatrixResult(job.output, 42, 128, unreached, 12.0))


def test_the_keyboard_reaches_the_fields_before_the_buttons(dialog: ImportanceDialog) -> None:
    order: list[QWidget] = [dialog]
    while (following := order[-1].nextInFocusChain()) is not None and following is not dialog:
        order.append(following)
    places = [order.index(one) for one in (dialog._samples, dialog._output, dialog._close, dialog._start)]
    assert places == sorted(places)


def test_what_is_chosen_goes_into_the_job(
    dialog: ImportanceDialog, opened: AppState, tell: Callable[..., ImatrixJob]
) -> None:
    assert "65 536 tokens: not known yet" in words(dialog)
    dialog._samples.setValue(4)
    dialog._length.setValue(32)
    dialog._take_text("/texts/mine.txt")
    dialog.start()
    job = tell(*AT_WORK)
    assert opened.checkpoint is not None
    assert (job.source, job.model) == (opened.checkpoint.path, "demo")
    assert job.output == str(opened.outputs_folder / "demo.imatrix.gguf")
    assert job.calibration == Calibration("/texts/mine.txt", 4, 32)
    assert buttons(dialog) == ["Close", "Cancel"] and not dialog._fields.isEnabled()
    assert "Running the text through the model: 40" in words(dialog)


def test_the_end_puts_the_file_into_the_recipe_and_says_what_it_is(
    dialog: ImportanceDialog, opened: AppState, tell: Callable[..., ImatrixJob]
) -> None:
    dialog.start()
    job = tell(*AT_WORK)
    tell(result_of(job, ("blk.0.ffn_up_exps.weight",)))
    assert opened.recipe == Recipe(SchemeSpec("IQ2_XS", {"imatrix": job.output}))
    assert dialog._title.text() == "The importance matrix is ready"
    assert {"42", "128 tokens of the bundled text", job.output, "the recipe"} <= set(words(dialog).split("\n"))
    assert "No text reached some experts of 1 tensor;" in words(dialog)
    assert buttons(dialog) == ["Done"]
    seconds = opened.importance.predict(Calibration(None, 1, 128))
    assert seconds is not None, "the next one's time is predicted"
    more = opened.importance.predict(Calibration(None, 2, 128))
    assert more is not None and more > seconds


def test_cancelling_says_that_nothing_was_written_and_lets_one_start_again(
    dialog: ImportanceDialog, opened: AppState, tell: Callable[..., ImatrixJob]
) -> None:
    dialog.start()
    tell(*AT_WORK, Cancelled())
    assert "nothing was written" in words(dialog) and buttons(dialog) == ["Close", "Compute"]
    assert opened.recipe == Recipe(SchemeSpec("IQ2_XS"))


def test_a_failure_stands_in_the_step(
    dialog: ImportanceDialog, opened: AppState, tell: Callable[..., ImatrixJob]
) -> None:
    said: list[object] = []
    opened.message.connect(said.append)
    dialog.start()
    tell(Failed("mine.txt holds no text.", "Choose another."))
    assert "mine.txt holds no text." in words(dialog) and buttons(dialog) == ["Close", "Compute"]
    assert not said, "one place says it"


def test_a_closed_step_leaves_the_job_at_work_and_a_message_tells_its_end(
    dialog: ImportanceDialog, opened: AppState, tell: Callable[..., ImatrixJob], qtbot: QtBot
) -> None:
    strip = JobStrip(opened)
    qtbot.addWidget(strip)
    dialog.start()
    job = tell(*AT_WORK)
    dialog.close()
    assert opened.is_running and "40" in strip._words.text()
    said: list[object] = []
    opened.message.connect(said.append)
    tell(result_of(job))
    assert "ready, in the recipe: 42 tensors, from 128 tokens" in str(said[0])
    assert opened.importance.path == job.output


def test_a_recipe_that_takes_no_matrix_any_more_is_left_alone(
    dialog: ImportanceDialog, opened: AppState, tell: Callable[..., ImatrixJob]
) -> None:
    dialog.start()
    job = tell(*AT_WORK)
    opened.set_recipe(Recipe(SchemeSpec("INT4")))
    tell(result_of(job))
    assert opened.recipe == Recipe(SchemeSpec("INT4"))
    assert "the recipe" not in words(dialog).split("\n")


def test_one_job_at_a_time(dialog: ImportanceDialog, opened: AppState, tell: Callable[..., ImatrixJob]) -> None:
    main = opened.runs.main
    main.state, main._thread = quantize_tape().state(5), object()  # type: ignore[assignment]
    main.changed.emit()
    assert "One job at a time" in words(dialog) and buttons(dialog) == ["Close"]
    main._thread = None
    main.changed.emit()
    assert buttons(dialog) == ["Close", "Compute"]


def test_names_are_new_unless_somebody_wants_the_old_one(opened: AppState, qtbot: QtBot) -> None:
    assert opened.checkpoint is not None
    taken = write_for(opened.checkpoint, opened.outputs_folder / "demo.imatrix.gguf")
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = ImportanceDialog(opened, parent)
    assert dialog._output.text().endswith("demo-2.imatrix.gguf")
    dialog._output.setText(str(taken))
    assert "is replaced if it is an importance matrix" in words(dialog)
    dialog._output.setText(str(taken.with_suffix(".txt")))
    assert "must end in .gguf" in words(dialog) and not dialog._start.isEnabled()
    dialog.close()


@pytest.mark.slow
def test_a_real_child_computes_it_for_the_open_model(opened: AppState, qtbot: QtBot, tmp_path: Path) -> None:
    output = tmp_path / "demo.imatrix.gguf"
    with qtbot.waitSignal(opened.runs.importance.ended, timeout=120_000):
        opened.start_importance(str(output), Calibration(None, 2, 32))
    run = opened.runs.importance.state
    assert isinstance(run, RunState) and isinstance(run.outcome, Finished), run and run.outcome
    qtbot.waitUntil(lambda: opened.importance.chosen is not None, timeout=5000)
    known = opened.importance.chosen
    assert known is not None and known.facts is not None and known.error is None
    assert (known.path, known.facts.model, known.facts.chunks) == (str(output), "demo", 2)
    assert not opened.plans.plan.error
