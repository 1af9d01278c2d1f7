"""The "Try it" card and the trial behind it, with states instead of child processes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtWidgets import QPlainTextEdit, QPushButton
from pytestqt.qtbot import QtBot

from quantgui.gui.app_state import AppState
from quantgui.gui.run_control import RunControl
from quantgui.gui.try_it.card import TryItCard
from quantgui.jobs.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Generation,
    QuantizeResult,
    TextPiece,
    Verification,
    VerificationStatus,
)
from quantgui.jobs.fold import RunState, fold_all
from quantgui.jobs.job import GenerateJob, Job, QuantizeJob
from quantgui.schemes.recipe import Recipe, SchemeSpec

WRITTEN = Generation("all", 40, 5, 2.0, 0.3, 1.0, 2**30)


@pytest.fixture
def result() -> QuantizeResult:
    job = QuantizeJob("demo", "out.gguf", Recipe(SchemeSpec("Q4_K_M")))
    checked = Verification(VerificationStatus.VERIFIED, "fine")
    return QuantizeResult(job, "out.gguf", 100, 30, 40, 50, 1.0, None, checked)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Jobs that would have been started; their states are put in place without a process."""
    jobs: list[Job] = []

    def start(control: RunControl, job: Job) -> None:
        jobs.append(job)
        control.state = RunState(job=job)
        control.changed.emit()

    monkeypatch.setattr(RunControl, "start", start)
    return jobs


@pytest.fixture
def card(state: AppState, result: QuantizeResult, started: list[Job], qtbot: QtBot) -> TryItCard:
    made = TryItCard(state, result)
    qtbot.addWidget(made)
    made.show()
    return made


def happens(control: RunControl, *events: Event) -> None:
    assert control.state is not None
    control.state = fold_all(control.state, events, 1.0)
    control.changed.emit()
    if control.state.outcome is not None:
        control.ended.emit()


def texts(card: TryItCard) -> dict[str, str]:
    return {box.accessibleName(): box.toPlainText() for box in card.findChildren(QPlainTextEdit)}


def shown_buttons(card: TryItCard) -> set[str]:
    return {b.text() for b in card.findChildren(QPushButton) if b.isVisibleTo(card)}


def test_both_models_write_one_after_the_other(card: TryItCard, state: AppState, started: list[Job]) -> None:
    assert shown_buttons(card) == {"Write"}
    assert not card._texts.isVisibleTo(card), "empty boxes say nothing"
    card._start()
    assert card._texts.isVisibleTo(card)
    trial = state.runs.trial
    assert [job.source for job in started if isinstance(job, GenerateJob)] == ["out.gguf"]
    assert shown_buttons(card) == {"Cancel"}
    happens(trial.after, TextPiece("al"), TextPiece("l"))
    assert texts(card) == {"Original: text": "", "Quantized: text": "all"}
    happens(trial.after, Finished(generation=WRITTEN))
    assert [job.source for job in started if isinstance(job, GenerateJob)] == ["out.gguf", "demo"]
    assert card._after._figures.text().startswith("40 tokens · 19.5")
    happens(trial.before, TextPiece("other"), Finished(generation=WRITTEN))
    assert texts(card) == {"Original: text": "other", "Quantized: text": "all"}
    assert shown_buttons(card) == {"Write"}


def test_a_text_that_fills_the_context_says_so(card: TryItCard, state: AppState, started: list[Job]) -> None:
    card._start()
    happens(state.runs.trial.after, Finished(generation=replace(WRITTEN, fills_context=True)))
    assert card._after._figures.text().endswith("of memory · context full")
    assert len(started) == 2, "the original follows all the same"


def test_a_failure_stands_in_the_card_and_ends_the_trial(card: TryItCard, state: AppState, started: list[Job]) -> None:
    card._start()
    happens(state.runs.trial.after, Failed("It does not load.", "Try another."))
    assert len(started) == 1
    assert card._error.isVisibleTo(card)
    assert shown_buttons(card) >= {"Write"}


def test_cancelling_keeps_what_was_written(card: TryItCard, state: AppState, started: list[Job]) -> None:
    card._start()
    happens(state.runs.trial.after, TextPiece("half"))
    state.cancel_run()
    happens(state.runs.trial.after, Cancelled())
    assert len(started) == 1
    assert texts(card)["Quantized: text"] == "half"
    assert card._after._figures.text() == "Cancelled"
