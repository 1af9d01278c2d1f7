"""After a run: what changed, whether it was verified, where the files are, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from quantgui import units
from quantgui.gui import glossary
from quantgui.gui.app_state import AppState
from quantgui.gui.run.quality_card import QualityCard
from quantgui.gui.try_it.card import TryItCard
from quantgui.gui.try_it.hand_over_card import HandOverCard
from quantgui.gui.widgets.buttons import button, link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_panel import ErrorPanel
from quantgui.gui.widgets.icon_label import IconLabel
from quantgui.gui.widgets.text import heading, label, muted, small
from quantgui.jobs.events import Cancelled, Failed, Finished, QuantizeResult, VerificationStatus
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.saved_training import training_file
from quantgui.report.findings import VERIFICATION_WORDS, KeyFigure, headline, key_figures, verification_words, worst
from quantgui.types import TensorReport, UserError

WORST_TENSORS = 5
LOSS_HEIGHT = 230
_ICONS = {
    VerificationStatus.VERIFIED: ("fits", "fits"),
    VerificationStatus.FAILED: ("too_large", "too_large"),
    VerificationStatus.NOT_VERIFIED: ("tight", "tight"),
}
"""Icon and colour of each verification, so that neither stands alone."""


class ResultPanel(QWidget):
    """Shows the outcome of a RunState; built anew for each outcome."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._shown: object = None
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(14)

    def show_run(self, run: RunState) -> None:
        """Show how this run ended."""
        if run.outcome is self._shown:
            return
        self._shown = run.outcome
        while (item := self._layout.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        match run.outcome:
            case Finished(quantized=QuantizeResult() as result):
                self._show_result(result, list(run.reports.values()))
            case Failed() as failed:
                error = UserError(failed.message, hint=failed.hint, details=failed.details)
                self._layout.addWidget(ErrorPanel(error))
                self._show_what_is_left(run)
            case Cancelled():
                self._show_what_is_left(run)
        self._layout.addStretch(1)

    def _show_result(self, result: QuantizeResult, reports: Sequence[TensorReport]) -> None:
        changed = Card("What changed")
        changed.body.addLayout(_figures(key_figures(result, reports)))
        self._layout.addWidget(changed)
        checked = Card("Is it right?")
        checked.body.addWidget(_verification(result))
        for warning in result.warnings:
            checked.body.addWidget(muted(warning))
        self._layout.addWidget(checked)
        self._layout.addWidget(QualityCard(self._state, result))
        self._layout.addWidget(TryItCard(self._state, result))
        if self._state.run is not None and self._state.run.training is not None:
            self._layout.addWidget(self._loss_card())
        files = Card("Where it is")
        files.body.addWidget(label(result.output, wrap=True))
        files.body.addWidget(
            _row(
                button("Open folder", lambda: open_folder(result.output), icon="folder"),
                button("Copy path", lambda: QGuiApplication.clipboard().setText(result.output), icon="copy"),
            )
        )
        self._layout.addWidget(files)
        if result.output.lower().endswith(".gguf"):
            self._layout.addWidget(HandOverCard(self._state, result))
        lowest = worst(reports, WORST_TENSORS)
        if lowest:
            self._layout.addWidget(self._worst_card(lowest))

    def _worst_card(self, lowest: Sequence[TensorReport]) -> Card:
        card = Card("Tensors furthest from the original")
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setColumnStretch(2, 1)
        for row, report in enumerate(lowest):
            name = link(report.short_name, lambda name=report.name: self._inspect(name), tip=report.name)
            grid.addWidget(name, row, 0)
            sqnr = report.error.sqnr_db if report.error else None
            value = label(units.decibels(sqnr))
            value.setToolTip(glossary.explain("SQNR"))
            grid.addWidget(value, row, 1)
        card.body.addLayout(grid)
        return card

    def _loss_card(self) -> Card:
        from quantgui.gui.plots.loss_trace import LossTrace

        card, plot = Card(), LossTrace(self._state)
        plot.setMinimumHeight(LOSS_HEIGHT)
        card.body.addWidget(plot)
        return card

    def _show_what_is_left(self, run: RunState) -> None:
        """After a run without a result: nothing of the output; of a training, what was saved of it."""
        self._layout.addWidget(muted("Nothing of the output is left."))
        job = run.job
        if not isinstance(job, QuantizeJob) or not training_file(job.cache, job.training_id).is_file():
            return
        card = Card("The training is kept")
        words = "It can go on where it was last saved, a few seconds before its end."
        if run.training is not None:
            words += f" {units.count(run.training.step)} of {units.count(run.training.steps)} steps were done."
        card.body.addWidget(muted(words))
        card.body.addWidget(_row(button("Go on training", lambda: self._state.runs.resume_training(job), icon="run")))
        self._layout.addWidget(card)

    def _inspect(self, name: str) -> None:
        self._state.select_tensor(name)
        self._state.request_page("inspect")


def result_title(run: RunState) -> str:
    """The page's title after a run."""
    match run.outcome:
        case Finished(quantized=QuantizeResult() as result):
            return headline(result)
        case Finished():
            return "The model was inspected"
        case Cancelled():
            return "The run was cancelled"
        case _:
            return "The run failed"


def open_folder(folder: str) -> None:
    """Show a folder, or the folder of a file, in the system's file manager."""
    path = Path(folder)
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent if path.is_file() else path)))


def _figures(figures: Sequence[KeyFigure]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(24)
    grid.setVerticalSpacing(14)
    for index, figure in enumerate(figures):
        cell = QVBoxLayout()
        cell.setSpacing(1)
        title = small(figure.title, wrap=False)
        title.setToolTip(glossary.explain(figure.title))
        value = heading(figure.value)
        value.setAccessibleName(f"{figure.title}: {figure.value}")
        for widget in (title, value, small(figure.note)):
            cell.addWidget(widget)
        cell.addStretch(1)
        grid.addLayout(cell, index // 3, index % 3)
        grid.setColumnStretch(index % 3, 1)
    return grid


def _verification(result: QuantizeResult) -> QWidget:
    status = result.verification.status
    icon, color = _ICONS[status]
    words = QVBoxLayout()
    words.setSpacing(2)
    words.addWidget(label(VERIFICATION_WORDS[status], "strong"))
    words.addWidget(muted(verification_words(result.verification)))
    box = QWidget()
    box.setToolTip(result.verification.details)
    row = QHBoxLayout(box)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(10)
    row.addWidget(IconLabel(icon, 18, color))
    row.addLayout(words, 1)
    return box


def _row(*widgets: QWidget) -> QWidget:
    box = QWidget()
    layout = QHBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(8)
    for widget in widgets:
        layout.addWidget(widget)
    layout.addStretch(1)
    return box
