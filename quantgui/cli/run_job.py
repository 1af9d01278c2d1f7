"""Runs a job in its child process for the command line: events as JSON lines, or a progress bar and words."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from quantgui import units
from quantgui.jobs.child import ChildProcess
from quantgui.jobs.codec import encode_event
from quantgui.jobs.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Log,
    Progress,
    Stage,
    Started,
    TextPiece,
    TrainingStep,
)
from quantgui.jobs.job import Job

BAR_WIDTH = 30
TRUSTED_SECONDS = 3.0
"""A stage's time left is told when this much of it has shown how fast it is."""


def run_job(job: Job, *, as_json: bool, on_event: Callable[[Event], None] | None = None) -> Finished | None:
    """The Finished event, None where the job failed (the reason has been printed). Ctrl+C cancels and re-raises.

    With `as_json` the last line of stdout is the terminal event.
    """
    child = ChildProcess(job)
    bar = ProgressBar(enabled=not as_json and sys.stderr.isatty())
    outcome: Event | None = None
    try:
        for event in child.events():
            outcome = event
            if as_json:
                print(encode_event(event).decode(), flush=True)
            bar.show(event)
            if on_event is not None:
                on_event(event)
    except KeyboardInterrupt:
        child.cancel()
        if as_json:
            print(encode_event(Cancelled()).decode(), flush=True)
        raise
    finally:
        bar.clear()
    if isinstance(outcome, Finished):
        return outcome
    if isinstance(outcome, Failed):
        print_error(outcome.message, outcome.hint)
    return None


def print_error(message: str, hint: str) -> None:
    """An error as people see it on stderr: what happened, and below it what to do."""
    print(f"error: {message}", file=sys.stderr)
    if hint:
        print(f"       {hint}", file=sys.stderr)


class ProgressBar:
    """One line on a terminal's stderr, nothing elsewhere. Warnings stand above it."""

    def __init__(self, enabled: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._enabled, self._clock = enabled, clock
        self._began: tuple[float, float] | None = None  # when the stage first counted, and the fraction done by then
        self._total = 0
        self._stage = ""
        self._shown = False

    def show(self, event: Event) -> None:
        """Follows one event."""
        match event:
            case Started():
                self._total = event.total_bytes
                for warning in event.warnings:
                    self._line(f"note: {warning}")
            case Stage():
                self._stage, self._began = event.title, None
                self._draw(self._stage)
            case Progress() if self._total:
                self._draw_bar(event.done_bytes / self._total, event.tensor)
            case TrainingStep() if event.steps > 0:
                words = f"{event.step:,} of {event.steps:,} steps, loss {event.loss:.3f}"
                self._draw_bar(event.step / event.steps, words)
            case Log():
                self._line(event.text)
            case TextPiece():
                self.clear()

    def clear(self) -> None:
        """Empties the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def _draw_bar(self, fraction: float, words: str) -> None:
        done = min(1.0, max(0.0, fraction))
        filled = round(BAR_WIDTH * done)
        bar = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}]"
        self._draw(f"{self._stage} {bar} {done:4.0%}  {self._time_left(done)}{words}")

    def _time_left(self, done: float) -> str:
        """ "12 s left  " at the pace of this stage, "" while that is not known."""
        now = self._clock()
        since, before = self._began = self._began or (now, done)
        if now - since < TRUSTED_SECONDS or not before < done < 1:
            return ""
        return f"{units.duration((now - since) * (1 - done) / (done - before))} left  "

    def _draw(self, text: str) -> None:
        if self._enabled:
            sys.stderr.write(f"\r\x1b[K{text[:100]}")
            sys.stderr.flush()
            self._shown = True

    def _line(self, text: str) -> None:
        if self._enabled:
            self.clear()
        print(text, file=sys.stderr)
