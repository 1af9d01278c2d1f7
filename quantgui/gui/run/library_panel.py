"""Finished runs, to open again or delete, and what unfinished ones left on the disk."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.run.places import library_folders
from quantgui.gui.run.result_panel import open_folder
from quantgui.gui.widgets.buttons import icon_button, link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.question import QuestionSlot
from quantgui.gui.widgets.text import line, muted, small
from quantgui.jobs.run_library import (
    FinishedRun,
    PartialOutput,
    delete_run,
    finished_runs,
    remove_partial,
    stale_partials,
)
from quantgui.jobs.run_record import output_of
from quantgui.report.findings import VERIFICATION_WORDS, describe_recipe
from quantgui.types import UserError

FOLDERS_KEY = "run.folders"


class LibraryPanel(Card):
    """Lists what is on the disk when `refresh` is called; holds nothing between."""

    opened = Signal(str)  # folder of a run

    def __init__(self, state: AppState) -> None:
        super().__init__("Finished runs")
        self._state = state
        self._rows = QVBoxLayout()
        self._rows.setSpacing(8)
        self._rows.setContentsMargins(0, 0, 6, 0)
        content = QWidget()
        content.setProperty("role", "plain")
        content.setLayout(self._rows)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidget(content)
        area.setAccessibleName("Finished runs")
        self.body.addWidget(area, 1)
        self.header.addWidget(icon_button("refresh", "Look again", self.refresh))

    def refresh(self) -> None:
        """Read the folders again."""
        folders = library_folders(self._state.outputs_folder, self._state.remembered(FOLDERS_KEY))
        while (item := self._rows.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        partials, runs = stale_partials(folders), finished_runs(folders)
        for partial in partials:
            self._add(self._partial_row(partial))
        for run in runs:
            self._add(self._run_row(run))
        if not runs:
            self._rows.addWidget(muted("Runs appear here when they are finished, with all their statistics."))
        self._rows.addStretch(1)

    def _add(self, row: QWidget) -> None:
        if self._rows.count():
            self._rows.addWidget(line())
        self._rows.addWidget(row)

    def _run_row(self, run: FinishedRun) -> QWidget:
        folder = str(run.folder)
        output = output_of(run.folder)
        name = link(output.name, lambda: self.opened.emit(folder), tip=f"Open this run\n{folder}")
        name.setEnabled(run.record is not None)
        name.setAccessibleName(f"Open the run {output.name}")
        actions = (
            icon_button("folder", f"Show the folder of {output.name}", lambda: open_folder(str(output))),
            icon_button("trash", f"Delete {output.name}…"),
        )
        row = _Row(name, _describe(run), actions)
        actions[1].clicked.connect(
            lambda: row.question.ask("Delete all files of this run?", "Delete", lambda: self._delete(run))
        )
        return row

    def _partial_row(self, partial: PartialOutput) -> QWidget:
        name = muted("Left by an unfinished run", wrap=False)
        name.setToolTip(str(partial.folder))
        words = f"{units.file_size(partial.nbytes)}, last changed {_date(partial.changed)}"
        remove = icon_button(
            "trash", f"Remove {partial.folder.name}", lambda: self._try(remove_partial, partial.folder)
        )
        return _Row(name, words, (remove,))

    def _delete(self, run: FinishedRun) -> None:
        self._try(delete_run, run.folder)

    def _try(self, action: Callable[[Path], None], folder: Path) -> None:
        try:
            action(folder)
        except UserError as error:
            self._state.message.emit(error)
        self._state.runs_changed.emit()


class _Row(QWidget):
    """Two lines and their buttons, and below them the question that one of these asks."""

    def __init__(self, name: QWidget, words: str, actions: tuple[QWidget, ...]) -> None:
        super().__init__()
        lines = QVBoxLayout()
        lines.setSpacing(0)
        top = QHBoxLayout()
        top.setSpacing(2)
        top.addWidget(name)
        top.addStretch(1)
        for action in actions:
            top.addWidget(action)
        lines.addLayout(top)
        self._words = small(words)
        self._words.setContentsMargins(5, 0, 0, 0)
        lines.addWidget(self._words)
        self.question = QuestionSlot()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(lines)
        layout.addWidget(self.question)


def _describe(run: FinishedRun) -> str:
    if run.record is None:
        return run.problem
    result = run.record.result
    size = f"{units.file_size(result.bytes_after)} instead of {units.file_size(result.bytes_before)}"
    verdict = VERIFICATION_WORDS[result.verification.status].lower()
    return f"{describe_recipe(result.job.recipe)} · {size} · {verdict} · {_date_of(run.record.created)}"


def _date_of(created: str) -> str:
    try:
        return _date(datetime.fromisoformat(created).astimezone())
    except ValueError:
        return created


def _date(when: datetime) -> str:
    return f"{when.day} {when:%b %Y, %H:%M}"
