"""The window's jobs, one at a time: a run, or what is done with a model beside it; what runs have taught about time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from quantgui.gui.run_control import RunControl
from quantgui.gui.run_times import TimeBook
from quantgui.gui.try_it.trial import Trial
from quantgui.jobs.events import Failed, Finished, QuantizeResult
from quantgui.jobs.fold import RunState, state_of_measurement, state_of_run
from quantgui.jobs.job import (
    EvaluateJob,
    ExportJob,
    HandOverJob,
    ImatrixJob,
    InspectJob,
    Program,
    QuantizeJob,
    new_job_id,
)
from quantgui.jobs.run_record import RunRecord, read_run
from quantgui.types import UserError


class Runs(QObject):
    """`main` holds the run that the pages show, `quality` the measurement of one, `trial` what it writes,
    `handover` its way to another program, `importance` the importance matrix that is computed for the next one,
    `export` the open model in another format.

    Refusals become a message.
    """

    message = Signal(object)  # a UserError, or text
    changed = Signal()  # any of them, also several times a second while one is at work

    def __init__(self, times_file: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.main = RunControl(self)
        self.quality = RunControl(self)
        self.trial = Trial(self)
        self.handover = RunControl(self)
        self.importance = RunControl(self)
        self.export = RunControl(self)
        self._controls = (self.main, self.quality, self.handover, self.importance, self.export)
        for control in (*self._controls, self.trial):
            control.changed.connect(self.changed)
        self.export.ended.connect(self._exported)
        self.times = TimeBook(times_file)
        for control in (self.main, self.importance):
            control.ended.connect(lambda control=control: self._learn(control))

    @property
    def at_work(self) -> RunState | None:
        """The job at work now, None where none is."""
        working = next((control for control in self._controls if control.is_running), None)
        return working.state if working is not None else self.trial.at_work

    def busy_words(self, control: RunControl) -> str:
        """Why `control` has to wait, "" where nothing else is at work."""
        other = None if control.is_running else self.at_work
        return f"One job at a time: “{other.stage}” has to end first." if other is not None else ""

    def start(self, job: QuantizeJob | InspectJob) -> None:
        """Start a run that the pages will show."""
        if not self._is_busy():
            self.quality.forget()  # what was measured of an output that may be replaced now
            self.main.start(job)

    def measure_quality(self, result: QuantizeResult) -> None:
        """Score the result of a run and its source on the evaluation text."""
        if not self._is_busy():
            self.quality.start(EvaluateJob(result.output, device=result.job.device, against=result.job.source))

    def try_out(self, result: QuantizeResult, prompt: str, tokens: int, temperature: float) -> None:
        """Let the result of a run and its source continue a text."""
        if not self._is_busy():
            self.trial.start(result, prompt, tokens, temperature)

    def hand_over(self, source: str, program: Program, *, overwrite: bool = False) -> None:
        """Give a GGUF file to another program; with `overwrite` in place of somebody else's Modelfile."""
        if not self._is_busy():
            self.handover.start(HandOverJob(source, program, overwrite=overwrite))

    def compute_importance(self, job: ImatrixJob) -> None:
        """Compute an importance matrix."""
        if not self._is_busy():
            self.importance.start(job)

    def start_export(self, job: ExportJob) -> None:
        """Write a model in another program's format."""
        if not self._is_busy():
            self.export.start(job)

    def stop_training(self) -> None:
        """End the training at work and convert what it has learned."""
        self.main.stop_early()

    def resume_training(self, job: QuantizeJob) -> None:
        """Go on with the training of a job that was stopped, cancelled or failed."""
        self.start(replace(job, id=new_job_id(), resume=job.training_id))

    def cancel(self) -> None:
        """Stop what is at work; its Cancelled event follows."""
        for control in (*self._controls, self.trial):
            control.cancel()

    def load(self, folder: str) -> None:
        """Show a finished run again."""
        try:
            record, reports = read_run(Path(folder))
            self.main.show(state_of_run(record, reports))
            self._show_quality(record)
        except UserError as error:
            self.message.emit(error)
        except RuntimeError:
            self.message.emit(UserError("A job is running.", hint="Wait for it or cancel it, then open the other run."))

    def _show_quality(self, record: RunRecord) -> None:
        """What was measured of a run that is shown again."""
        if (measured := state_of_measurement(record)) is not None and not self.quality.is_running:
            self.quality.show(measured)

    def close(self) -> None:
        """Stop everything and wait: the window is closing."""
        for control in (*self._controls, self.trial):
            control.close()

    def _is_busy(self) -> bool:
        busy = self.at_work is not None
        if busy:
            self.message.emit(UserError("A job is already running.", hint="Wait for it or cancel it first."))
        return busy

    def _exported(self) -> None:
        """Say how an export has ended whose dialog was closed."""
        outcome = self.export.state.outcome if self.export.state is not None else None
        if self.export.is_watched:
            return
        if isinstance(outcome, Finished) and outcome.exported is not None:
            self.message.emit(f"The ONNX model is at {outcome.exported.output}.")
        elif isinstance(outcome, Failed):
            self.message.emit(UserError(outcome.message, hint=outcome.hint, details=outcome.details))

    def _learn(self, control: RunControl) -> None:
        if control.state is not None:
            self.times.learn(control.state)
