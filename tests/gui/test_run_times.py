"""What a run took teaches what the next one will take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quantgui.gui.run_times import TimeBook
from quantgui.jobs.events import Cancelled, Finished, ImatrixResult, Stage, Started
from quantgui.jobs.fold import RunState, fold
from quantgui.jobs.job import ImatrixJob
from quantgui.schemes.recipe import Recipe, SchemeSpec
from tests.gui.tapes import quantize_tape

INT4 = Recipe(SchemeSpec("INT4"))


def test_the_work_grows_with_the_weights_and_the_rest_does_not(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    book = TimeBook(path)
    assert book.predict(INT4, 10**6, "cpu") is None
    run = quantize_tape().state()
    book.learn(run)
    weights = sum(r.shape[0] * r.shape[1] for r in run.reports.values() if r.scheme_id is not None)
    assert book.predict(INT4, weights, "cpu") == pytest.approx(run.elapsed)
    assert run.work_started is not None and run.work_ended is not None
    more = book.predict(INT4, 3 * weights, "cpu")
    assert more == pytest.approx(run.elapsed + 2 * (run.work_ended - run.work_started))
    assert TimeBook(path).predict(INT4, 3 * weights, "cpu") == more
    assert book.predict(INT4, weights, "cuda:0") is None
    assert book.predict(Recipe(SchemeSpec("NF4")), weights, "cpu") is None
    assert book.predict(Recipe(SchemeSpec("unknown")), weights, "cpu") is None


def test_a_calibration_takes_longer_with_more_text_but_not_in_proportion(tmp_path: Path) -> None:
    book = TimeBook(tmp_path / "times.json")
    short = Recipe(SchemeSpec("AWQ-4", {"samples": 8}))
    run = quantize_tape().state()
    book.learn(replace(run, job=replace(quantize_tape().job, recipe=short)))
    weights = sum(r.shape[0] * r.shape[1] for r in run.reports.values() if r.scheme_id is not None)
    few, many = (book.predict(Recipe(SchemeSpec("AWQ-4", {"samples": samples})), weights, "cpu") for samples in (8, 80))
    assert few == pytest.approx(run.elapsed)
    assert many is not None and run.work_started is not None and run.work_ended is not None
    assert run.elapsed < many < run.elapsed + 9 * (run.work_ended - run.work_started)


def test_a_training_takes_longer_with_more_steps(tmp_path: Path) -> None:
    book = TimeBook(tmp_path / "times.json")
    short = Recipe(SchemeSpec("QAT-INT4", {"steps": 10}))
    run = quantize_tape().state()
    book.learn(replace(run, job=replace(quantize_tape().job, recipe=short)))
    weights = 10**6
    ten, twenty = (book.predict(Recipe(SchemeSpec("QAT-INT4", {"steps": n})), weights, "cpu") for n in (10, 20))
    assert ten is not None and twenty is not None
    assert 1 < twenty / ten <= 2


def test_only_finished_quantizations_teach(tmp_path: Path) -> None:
    book = TimeBook(tmp_path / "times.json")
    book.learn(fold(quantize_tape().state(20), Cancelled(), 99.0))
    book.learn(replace(quantize_tape().state(), job=replace(quantize_tape().job, resume="0a")))
    assert book.predict(INT4, 10**6, "cpu") is None


def test_an_importance_matrix_teaches_the_time_of_the_next(tmp_path: Path) -> None:
    book = TimeBook(tmp_path / "times.json")
    assert book.predict_importance(1000, 64, "cpu") is None
    run = RunState(ImatrixJob("/models/demo", "/out/demo.imatrix.gguf"), started_at=0.0)
    run = fold(fold(run, Stage("Reading the model"), 1.0), Started("x", 1000, 2), 3.0)
    book.learn(fold(run, Cancelled(), 13.0))
    assert book.predict_importance(1000, 64, "cpu") is None
    book.learn(fold(run, Finished(imatrix=ImatrixResult("/out/demo.imatrix.gguf", 2, 64, (), 12.0)), 13.0))
    assert book.predict_importance(1000, 64, "cpu") == pytest.approx(13.0)
    assert book.predict_importance(1000, 128, "cpu") == pytest.approx(23.0)
    assert book.predict_importance(1000, 64, "cuda:0") is None
