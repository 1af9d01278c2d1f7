"""Use it elsewhere: a finished GGUF file for Ollama, LM Studio and llama.cpp."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLineEdit

from quantgui.formats.gguf.handover import is_foreign, modelfile_path
from quantgui.gui.app_state import AppState
from quantgui.gui.widgets.buttons import button
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.question import QuestionSlot
from quantgui.gui.widgets.text import muted
from quantgui.jobs.events import Failed, Finished, QuantizeResult
from quantgui.jobs.fold import RunState, RunStatus
from quantgui.jobs.job import HandOverJob, Program
from quantgui.types import UserError

TITLES = {Program.OLLAMA: "Ollama", Program.LM_STUDIO: "LM Studio", Program.LLAMA_CPP: "llama.cpp"}
_ASKS = "Ollama gets a Modelfile, LM Studio the file in its folder, and llama.cpp a command to copy."


class HandOverCard(Card):
    """Follows the state's last hand-over as long as it is about this run's file."""

    def __init__(self, state: AppState, result: QuantizeResult) -> None:
        super().__init__("Use it elsewhere")
        self._state, self._source = state, result.output
        self._words = muted(_ASKS)
        self._command = QLineEdit()
        self._command.setReadOnly(True)
        self._command.setAccessibleName("Command")
        self._copy = button("Copy", self._copy_command, icon="copy")
        self._error = ErrorSlot()
        self._failed: object = None
        self._question = QuestionSlot()
        self._buttons = [
            button(title, lambda program=program: self._hand_over(program)) for program, title in TITLES.items()
        ]
        line = QHBoxLayout()
        for made in self._buttons:
            line.addWidget(made)
        line.addStretch(1)
        command = QHBoxLayout()
        command.addWidget(self._command, 1)
        command.addWidget(self._copy)
        self.body.addWidget(self._words)
        self.body.addLayout(line)
        self.body.addWidget(self._question)
        self.body.addLayout(command)
        self.body.addWidget(self._error)
        for signal in (state.runs.handover.changed, state.run_changed):
            signal.connect(self._show)
        self._show()

    def _hand_over(self, program: Program) -> None:
        self._question.withdraw()
        written = modelfile_path(Path(self._source))
        if program is Program.OLLAMA and _is_foreign(written):
            self._question.ask(
                f"{written.name} is there already, and not as QuantGUI wrote it. Replace it?",
                "Replace",
                lambda: self._state.runs.hand_over(self._source, program, overwrite=True),
            )
        else:
            self._state.runs.hand_over(self._source, program)

    def _copy_command(self) -> None:
        QGuiApplication.clipboard().setText(self._command.text())

    def _show(self) -> None:
        run = self._run()
        outcome = run.outcome if run is not None else None
        result = outcome.handed_over if isinstance(outcome, Finished) else None
        is_running = run is not None and run.status is RunStatus.RUNNING
        is_ours = run is not None and self._state.runs.handover.is_running
        for made in self._buttons:  # they stay enabled while they work: a disabled button loses the focus
            made.setEnabled(is_ours or not self._state.is_running)
        if is_running and run is not None:
            self._words.setText(run.stage)
        else:
            self._words.setText(result.sentence if result is not None else _ASKS)
        command = result.command if result is not None else ""
        self._command.setText(command)
        self._command.setCursorPosition(0)
        self._command.setVisible(bool(command))
        self._copy.setVisible(bool(command))
        failed = outcome if isinstance(outcome, Failed) else None
        if failed is not self._failed:
            self._failed = failed
            self._error.show_error(
                UserError(failed.message, hint=failed.hint, details=failed.details) if failed is not None else None
            )

    def _run(self) -> RunState | None:
        run = self._state.runs.handover.state
        return run if run is not None and isinstance(run.job, HandOverJob) and run.job.source == self._source else None


def _is_foreign(modelfile: Path) -> bool:
    """Whether to ask first; what cannot be read is left to the job, which says why."""
    try:
        return is_foreign(modelfile)
    except OSError:
        return False
