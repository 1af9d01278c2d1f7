"""While a run is at work: how far, how fast, how long still, how much memory; the loss of a training, or the tensors
with their error as they finish."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from quantgui import units
from quantgui.checkpoint.tensor_names import describe
from quantgui.gui import formatting
from quantgui.gui.plots import Source
from quantgui.gui.tensor_table import OF_A_CALIBRATION, TensorTable
from quantgui.gui.tensor_view import TensorView
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.text import heading, muted
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.training_trace import TrainingTrace
from quantgui.types import Checkpoint

if TYPE_CHECKING:
    from quantgui.gui.plots.base import PlotPanel

SILENCE_SECONDS = 20
MAP_HEIGHT = 250
RECENT = 20
"""So many of the last tensors are asked whether they were calibrated."""
_STEPS = 1000
_HIDDEN = ("Bits", "MSE", "Max error", "Clipped", "To zero", "Cosine")


class ProgressPanel(QWidget):
    """Shows a RunState; `show_run` with another one redraws it. Its plots pull the same run from `source`."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._model = TensorTable(self)
        self._table = TensorView(self._model, (*_HIDDEN, *OF_A_CALIBRATION))
        self._stage = heading()
        self._detail = muted()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName("Progress of the run")
        self._numbers = muted()
        self._silence = muted()
        self._facts = Facts()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(14)
        card = Card()
        for widget in (self._stage, self._bar, self._numbers, self._detail, self._silence, self._facts):
            card.body.addWidget(widget)
        layout.addWidget(card)
        self._source = source
        self._loss: PlotPanel | None = None
        self._map: PlotPanel | None = None
        self._loss_card, self._map_card = Card(), Card()
        self._map_card.setMaximumHeight(MAP_HEIGHT)
        layout.addWidget(self._loss_card, 1)
        layout.addWidget(self._map_card)
        self._finished = Card("Tensors as they finish")
        self._finished.body.addWidget(self._table, 1)
        layout.addWidget(self._finished, 1)

    def show_run(self, run: RunState, checkpoint: Checkpoint | None) -> None:
        """Draw this snapshot; `checkpoint` is the open model, which has short names for its tensors."""
        self._stage.setText(run.stage)
        self._detail.setText(_detail(run, checkpoint))
        self._detail.setVisible(bool(self._detail.text()))
        fraction = run.fraction
        is_counting = fraction is not None and fraction < 1
        self._bar.setRange(0, _STEPS if is_counting else 0)  # without end: at work, but nothing to count
        self._bar.setValue(round(_STEPS * fraction) if fraction is not None else 0)
        self._numbers.setText(_numbers(run))
        silent = run.silent_seconds(time.monotonic())
        self._silence.setVisible(silent > SILENCE_SECONDS)
        self._silence.setText(f"No word for {units.duration(silent)}. A large tensor or slow disk can take this long.")
        self._facts.set_facts(_facts(run, run.last_message + silent))
        self._show_plots(run)
        if any(report.output_error is not None for report in run.reports.since(max(0, len(run.reports) - RECENT))):
            self._table.leave_out(_HIDDEN)
        self._model.show(run.reports)
        if len(run.reports):
            total = f" of {units.count(run.total_tensors)}" if run.total_tensors else ""
            self._finished.set_title(f"{units.count(len(run.reports))}{total} tensors finished")
        if not self._table.hasFocus():
            self._table.scrollToBottom()

    def _show_plots(self, run: RunState) -> None:
        if run.is_training:
            self._loss_plot().refresh()
        elif run.reports:
            self._map_plot().refresh()
        self._loss_card.setVisible(run.is_training)  # once it holds its plot: an empty card looks broken
        self._map_card.setVisible(not run.is_training and bool(run.reports))
        self._finished.setVisible(not run.is_training)

    def _loss_plot(self) -> PlotPanel:
        """The plots' library is loaded with the first run, not with the window."""
        if self._loss is None:
            from quantgui.gui.plots.loss_trace import LossTrace

            self._loss = LossTrace(self._source)
            self._loss_card.body.addWidget(self._loss)
        return self._loss

    def _map_plot(self) -> PlotPanel:
        if self._map is None:
            from quantgui.gui.plots.sqnr_heat_map import SqnrHeatMap

            self._map = SqnrHeatMap(self._source)
            self._map_card.body.addWidget(self._map)
        return self._map


def progress_title(run: RunState) -> str:
    """The page's title while a run is at work."""
    verb = (
        f"Quantizing to {run.job.recipe.name or run.job.recipe.base.id}"
        if isinstance(run.job, QuantizeJob)
        else "Inspecting"
    )
    is_counting = run.fraction is not None and run.fraction < 1
    return f"{verb}: {100 * (run.fraction or 0):.0f}{units.NBSP}%" if is_counting else verb


def _short_name(name: str, checkpoint: Checkpoint | None) -> str:
    """The short name of a tensor, from the open model where it is the one at work, else from the name alone."""
    tensors = checkpoint.tensors if checkpoint is not None else ()
    known = next((tensor.short_name for tensor in tensors if tensor.name == name), "")
    words = describe(name, ndim=2)
    return known or (words.module if words.layer is None else f"layer {words.layer} · {words.module}")


def _detail(run: RunState, checkpoint: Checkpoint | None) -> str:
    if run.tensor:
        return f"At work: {_short_name(run.tensor, checkpoint)}"
    return run.stage_detail


def _numbers(run: RunState) -> str:
    if run.is_training and run.training is not None:
        return _training_numbers(run.training)
    if not run.total_bytes:
        return ""
    parts = [f"{units.file_size(run.done_bytes)} of {units.file_size(run.total_bytes)} read"]
    if run.bytes_per_second and run.done_bytes < run.total_bytes:
        parts.append(formatting.bandwidth(run.bytes_per_second))
    if run.seconds_left is not None and run.fraction is not None and run.fraction < 1:
        parts.append(f"about {units.duration(run.seconds_left)} left")
    return " · ".join(parts)


def _training_numbers(training: TrainingTrace) -> str:
    parts = [f"{units.count(training.step)} of {units.count(training.steps)} steps"]
    if training.seconds_per_step:
        parts.append(f"{units.duration(training.seconds_per_step)} per step")
    if training.seconds_left is not None:
        parts.append(f"about {units.duration(training.seconds_left)} left")
    return " · ".join(parts)


def _facts(run: RunState, elapsed: float) -> list[Fact]:
    memory = run.memory
    own = ""
    if memory is not None:
        now = memory.rss_bytes if memory.anonymous_bytes is None else memory.anonymous_bytes
        own = formatting.memory(now)
        if run.peak_anonymous_bytes is not None:
            own += f", at most {formatting.memory(run.peak_anonymous_bytes)} so far"
    return [
        Fact("Elapsed", units.duration(elapsed)),
        Fact(
            "Memory of the run", own, tip="What the process holds for itself; mapped pages of the model do not count."
        ),
    ]
