"""One job at a time: a run or a measurement; refusals are messages, and what ran teaches the time of the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from quantgui.gui.runs import Runs
from quantgui.jobs.events import Finished
from quantgui.jobs.fold import RunStatus
from quantgui.jobs.job import EvaluateJob, QuantizeJob
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError
from tests.gui.tapes import quantize_tape, training_tape


@pytest.fixture
def runs(qtbot: QtBot, tmp_path: Path) -> Iterator[Runs]:
    made = Runs(tmp_path / "times.json")
    yield made
    made.close()


def test_a_measurement_waits_for_the_run_and_the_run_for_the_measurement(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[UserError] = []
    runs.message.connect(said.append)
    started: list[object] = []
    monkeypatch.setattr(runs.main, "start", started.append)
    monkeypatch.setattr(runs.quality, "start", started.append)
    outcome = quantize_tape().state().outcome
    assert isinstance(outcome, Finished) and outcome.quantized is not None
    runs.main.state, runs.main._thread = training_tape().state(), object()  # type: ignore[assignment]
    assert runs.at_work is runs.main.state
    runs.measure_quality(outcome.quantized)
    assert not started and "already running" in said[0].message
    runs.main._thread = None
    runs.measure_quality(outcome.quantized)
    runs.quality.state, runs.quality._thread = quantize_tape().state(3), object()  # type: ignore[assignment]
    runs.start(quantize_tape().job)
    runs.quality._thread = None
    assert len(said) == 2
    (job,) = started
    assert isinstance(job, EvaluateJob)
    assert (job.source, job.against) == (outcome.quantized.output, outcome.quantized.job.source)


def test_a_training_goes_on_under_the_name_it_began_with(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[QuantizeJob] = []
    monkeypatch.setattr(runs.main, "start", started.append)
    first = training_tape().job
    runs.resume_training(first)
    runs.resume_training(started[0])
    assert [job.training_id for job in started] == [first.id, first.id]
    assert len({first.id, *(job.id for job in started)}) == 3
    assert started[1].recipe == first.recipe


@pytest.mark.slow
def test_a_finished_run_teaches_its_time(runs: Runs, qtbot: QtBot, tiny_llama_bf16: Path, tmp_path: Path) -> None:
    recipe = Recipe(SchemeSpec("INT8"))
    with qtbot.waitSignal(runs.main.ended, timeout=60_000):
        runs.start(QuantizeJob(str(tiny_llama_bf16), str(tmp_path / "out"), recipe, verify=False))
    assert runs.main.state is not None and runs.main.state.status is RunStatus.FINISHED
    assert runs.times.predict(recipe, 10**6, "cpu") is not None
    runs.load(str(tmp_path / "out"))
    assert runs.at_work is None
    said: list[UserError] = []
    runs.message.connect(said.append)
    runs.load(str(tmp_path / "nowhere"))
    assert len(said) == 1
