"""How long runs took on this machine, per method, and from that how long the next will take. No Qt.

A run's time is split in two: the work, which grows with the weights and the tokens that run through them, and the
rest, which is mostly starting libraries. The last run of a method on a device is what the next estimate is made from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from quantgui import units
from quantgui.gui.settings import load, save
from quantgui.jobs.events import Finished
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import ImatrixJob, QuantizeJob
from quantgui.quant.registry import row_method, settings
from quantgui.schemes.recipe import Recipe
from quantgui.types import UserError

IMPORTANCE = "importance matrix"
"""Stands for the method in the key of an importance matrix; no method is called so."""


SEARCH_TOKENS = 10_000
"""What a calibrated method searches and solves takes about as long as running so many tokens through its weights."""


@dataclass(frozen=True)
class RunTime:
    """One measured run: `amount` of work (see `amount_of`), and its seconds."""

    amount: float
    work_seconds: float
    other_seconds: float


@dataclass(frozen=True)
class RunTimes:
    """The last run by method and device ("qat cpu")."""

    last: dict[str, RunTime] = field(default_factory=dict)


class TimeBook:
    """Kept in one file; learns from every run that finishes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._times = load(path, RunTimes)

    def learn(self, run: RunState) -> None:
        """Remember how long a quantization or an importance matrix took. Other runs, resumed trainings and failures
        teach nothing.
        """
        job = run.job
        if isinstance(job, ImatrixJob):
            self._learn_importance(run, job)
            return
        if not isinstance(job, QuantizeJob) or job.resume or not isinstance(run.outcome, Finished):
            return
        if run.work_started is None or run.work_ended is None:
            return
        stopped = run.training is not None and run.training.step < run.training.steps
        weights = sum(math.prod(r.shape) for r in run.reports.values() if r.scheme_id is not None)
        if stopped or not weights:
            return
        work = max(0.0, run.work_ended - run.work_started)
        time = RunTime(amount_of(job.recipe, weights), work, max(0.0, run.elapsed - work))
        self._remember(_key(job.recipe, job.device), time)

    def predict(self, recipe: Recipe, weights: int, device: str) -> float | None:
        """Seconds that quantizing this many weights will take; None where no run of the method has finished here."""
        try:
            known = self._times.last.get(_key(recipe, device))
            amount = amount_of(recipe, weights)
        except UserError:
            return None
        return _scaled(known, amount)

    def predict_importance(self, block_bytes: int, tokens: int, device: str) -> float | None:
        """Seconds that an importance matrix will take, from this many tokens through so many bytes of layers."""
        return _scaled(self._times.last.get(f"{IMPORTANCE} {device}"), block_bytes * tokens)

    def _learn_importance(self, run: RunState, job: ImatrixJob) -> None:
        result = run.outcome.imatrix if isinstance(run.outcome, Finished) else None
        if result is None or run.work_started is None or not run.total_bytes or not result.tokens:
            return
        work = max(0.0, run.elapsed - run.work_started)
        time = RunTime(run.total_bytes * result.tokens, work, run.work_started)
        self._remember(f"{IMPORTANCE} {job.device}", time)

    def _remember(self, key: str, time: RunTime) -> None:
        self._times = replace(self._times, last={**self._times.last, key: time})
        save(self._path, self._times)


def _scaled(known: RunTime | None, amount: float) -> float | None:
    if known is None or known.amount <= 0:
        return None
    return known.other_seconds + known.work_seconds * amount / known.amount


def time_words(seconds: float | None) -> str:
    """What to say of a prediction: "about 3 min 5 s, estimated from the last such run here"."""
    if seconds is None:
        return "not known yet, as no run of this method has finished here"
    return f"about {units.duration(seconds)}, estimated from the last such run here"


def amount_of(recipe: Recipe, weights: int) -> float:
    """Work of a run: its weights, times the tokens that run through them. Raises UserError."""
    values = settings(recipe.base)
    if _is_calibrated(recipe):
        return weights * (float(values["samples"]) * float(values["sample_length"]) + SEARCH_TOKENS)
    tokens = [float(values[name]) for name in ("steps", "batch", "context") if name in values]
    return weights * math.prod(tokens)


def _is_calibrated(recipe: Recipe) -> bool:
    return row_method(recipe.base.id).calibrated is not None


def _key(recipe: Recipe, device: str) -> str:
    counted = " by tokens" if _is_calibrated(recipe) else ""  # earlier versions counted these by their weights alone
    return f"{row_method(recipe.base.id).id} {device}{counted}"
