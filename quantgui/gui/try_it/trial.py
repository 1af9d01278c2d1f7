"""One prompt, two models: the quantized one continues it first, then the original, so that neither slows the other."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from quantgui.gui.run_control import RunControl
from quantgui.jobs.events import Finished, QuantizeResult
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import GenerateJob


class Trial(QObject):
    """`after` and `before` hold what each model has written so far. Start it only while nothing else is at work."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.result: QuantizeResult | None = None
        self.after = RunControl(self)
        self.before = RunControl(self)
        self._next: GenerateJob | None = None
        for control in (self.after, self.before):
            control.changed.connect(self.changed)
        self.after.ended.connect(self._go_on)

    @property
    def at_work(self) -> RunState | None:
        """The model that is writing now, None where none is."""
        working = next((control for control in (self.after, self.before) if control.is_running), None)
        return working.state if working is not None else None

    @property
    def is_busy(self) -> bool:
        """Whether one of the two is writing, or about to."""
        return self.at_work is not None or self._next is not None

    def start(self, result: QuantizeResult, prompt: str, tokens: int, temperature: float) -> None:
        """Let both continue `prompt`; what they wrote before is forgotten."""
        self.result = result
        self.before.forget()
        device = result.job.device

        def job(source: str) -> GenerateJob:
            return GenerateJob(source, prompt, tokens, temperature, device=device)

        self._next = job(result.job.source)
        self.after.start(job(result.output))

    def cancel(self) -> None:
        """Stop writing; what was written stays."""
        self._next = None
        self.after.cancel()
        self.before.cancel()

    def close(self) -> None:
        """Stop and wait: the window is closing."""
        self._next = None
        self.after.close()
        self.before.close()

    def _go_on(self) -> None:
        following, self._next = self._next, None
        state = self.after.state
        if following is not None and state is not None and isinstance(state.outcome, Finished):
            self.before.start(following)
        else:
            self.changed.emit()
