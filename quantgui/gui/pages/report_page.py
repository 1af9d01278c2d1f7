"""What the run found, in key figures, and the same as one HTML file to keep or send."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog, QFrame, QGridLayout, QHBoxLayout, QStackedLayout, QVBoxLayout, QWidget

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.fit.groups import usual
from quantgui.gui.pages import Page
from quantgui.gui.widgets.buttons import button, link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.empty_state import EmptyState
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.figure_view import FigureView
from quantgui.gui.widgets.page_frame import PageFrame
from quantgui.gui.widgets.text import label, muted, small
from quantgui.jobs.events import Evaluation, Finished, QuantizeResult
from quantgui.jobs.job import EvaluateJob
from quantgui.jobs.run_record import RunRecord, read_record, record_folder
from quantgui.report.findings import KeyFigure, headline, key_figures, model_name, worst
from quantgui.report.heat_map import heat_map
from quantgui.report.html import write_report
from quantgui.types import TensorReport, UserError

WORST = 6
FIGURES_PER_ROW = 6
DEFAULT_NAME = "report.html"
FILE_FILTER = "HTML (*.html)"


class ReportPage(QWidget):
    """Shows the finished run of the state; without one it says how to get it."""

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._shown: QuantizeResult | None = None
        self._measurement: Evaluation | None = None
        self._frame = PageFrame("Report", scrolls=True)
        self._save_button = button("Save report", self._save, icon="save", primary=True, tip="One HTML file")
        self._open_button = button("Open in browser", self._open, icon="open")
        self._frame.buttons.addWidget(self._open_button)
        self._frame.buttons.addWidget(self._save_button)
        self._notice = Notice()
        self._figures = QGridLayout()
        self._figures.setSpacing(12)
        self._map = FigureView("Map of SQNR by layer and module")
        self._map_card = Card("Map")
        self._worst = Facts()
        self._contents = Facts()
        self._add_body()
        self._stack = QStackedLayout(self)
        self._stack.addWidget(
            EmptyState(
                "report",
                "No finished run yet",
                "A report holds what a run did: sizes, errors of every tensor, the recipe, versions and hashes.",
                "Go to Run",
                lambda: state.request_page("run"),
            )
        )
        self._stack.addWidget(self._frame)
        state.run_changed.connect(self._show)
        state.runs.quality.changed.connect(self._measured)
        self._show()

    def export(self, path: Path) -> bool:
        """Write the report of the shown run to `path`; whether that went well. The page says either way."""
        if self._shown is None:
            return False
        self._frame.show_error(None)
        try:
            record = self._record(self._shown)
            reports = self._reports()
            estimates = usual(self._state.estimates, {record.result.job.recipe.base.id})
            write_report(path, record, reports, estimates=estimates, hardware=self._state.hardware)
        except UserError as error:
            self._frame.show_error(error)
            return False
        except OSError as error:
            self._frame.show_error(UserError(f"{path.name} could not be written.", details=str(error)))
            return False
        self._notice.show_file(path)
        return True

    # --- building -----------------------------------------------------------------------------------------------

    def _add_body(self) -> None:
        self._frame.body.addWidget(self._notice)
        self._frame.body.addLayout(self._figures)
        self._map_card.body.addWidget(self._map)
        self._frame.body.addWidget(self._map_card)
        row = QHBoxLayout()
        row.setSpacing(14)
        worst_card = Card("Lowest SQNR")
        worst_card.body.addWidget(self._worst)
        worst_card.body.addStretch(1)
        contents = Card("What the file holds")
        contents.body.addWidget(self._contents)
        contents.body.addWidget(muted("One file without scripts or links: it opens anywhere, also without a network."))
        contents.body.addStretch(1)
        row.addWidget(worst_card, 1)
        row.addWidget(contents, 1)
        self._frame.body.addLayout(row)
        self._frame.body.addStretch(1)

    # --- showing ------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        result = self._result()
        self._stack.setCurrentIndex(0 if result is None else 1)
        if result is None or result is self._shown:
            return
        self._shown = result
        reports = self._reports()
        self._notice.hide()
        self._frame.show_error(None)
        self._frame.set_title(headline(result), f"{model_name(result)} · {result.output}")
        self._show_figures(result)
        lowest = worst(reports, WORST)
        drawn = heat_map(reports)
        self._map_card.setVisible(drawn is not None)
        if drawn is not None:
            self._map_card.set_title(f"The weakest spot is {lowest[0].short_name}")
            self._map.set_svg(drawn)
        self._worst.set_facts(
            [Fact(r.short_name, units.decibels(r.error.sqnr_db), "SQNR", r.name) for r in lowest if r.error]
        )

    def _measured(self) -> None:
        """A measurement has ended, or a run was opened that has one."""
        if self._shown is not None and self._quality(self._shown) is not self._measurement:
            self._show_figures(self._shown)

    def _show_figures(self, result: QuantizeResult) -> None:
        self._measurement = self._quality(result)
        figures = key_figures(result, self._reports(), self._measurement)
        while (item := self._figures.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        run = self._state.run
        self._contents.set_facts(
            _contents(result, self._reports(), self._measurement is not None, run is not None and bool(run.training))
        )
        for index, figure in enumerate(figures):
            self._figures.addWidget(_tile(figure), index // FIGURES_PER_ROW, index % FIGURES_PER_ROW)

    def _result(self) -> QuantizeResult | None:
        run = self._state.run
        outcome = run.outcome if run is not None else None
        return outcome.quantized if isinstance(outcome, Finished) else None

    def _quality(self, result: QuantizeResult) -> Evaluation | None:
        """What was measured of this result, now or when it was made."""
        measured = self._state.runs.quality.state
        if measured is None or not isinstance(measured.job, EvaluateJob) or measured.job.source != result.output:
            return None
        return measured.outcome.evaluation if isinstance(measured.outcome, Finished) else None

    def _reports(self) -> tuple[TensorReport, ...]:
        run = self._state.run
        return () if run is None else tuple(run.reports.values())

    def _record(self, result: QuantizeResult) -> RunRecord:
        """The record on disk, which has versions and hashes; what is known here where the folder is gone."""
        try:
            return read_record(result.output)
        except UserError:
            run = self._state.run
            return RunRecord(result, training=run.training if run is not None else None, quality=self._quality(result))

    # --- files --------------------------------------------------------------------------------------------------

    def _save(self) -> None:
        assert self._shown is not None
        proposal = str(record_folder(self._shown.output) / DEFAULT_NAME)
        path, _ = QFileDialog.getSaveFileName(self, "Save the report", proposal, FILE_FILTER)
        if path:
            self.export(Path(path))

    def _open(self) -> None:
        assert self._shown is not None
        path = record_folder(self._shown.output) / DEFAULT_NAME
        if self.export(path):
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


class Notice(QFrame):
    """Where the report was written, with a way to it."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "notice")
        self._path = Path()
        self._words = label(wrap=True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.addWidget(self._words, 1)
        layout.addWidget(link("Show in folder", self._show_folder))
        self.hide()

    def show_file(self, path: Path) -> None:
        """Say that the report lies at `path`."""
        self._path = path
        self._words.setText(f"The report is saved: {path} ({units.file_size(path.stat().st_size)}).")
        self.show()

    def _show_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._path.parent)))


def _tile(figure: KeyFigure) -> Card:
    """One key figure: what it is, the number, and a line of context."""
    card = Card()
    card.setAccessibleName(f"{figure.title}: {figure.value}. {figure.note}")
    column = QVBoxLayout()
    column.setSpacing(2)
    column.addWidget(muted(figure.title, wrap=False))
    column.addWidget(label(figure.value, "title"))
    column.addWidget(small(figure.note or " "))
    card.body.addLayout(column)
    card.body.addStretch(1)
    return card


def _contents(
    result: QuantizeResult, reports: tuple[TensorReport, ...], is_measured: bool, is_trained: bool
) -> list[Fact]:
    drawn = sum(report.before is not None for report in reports)
    quality = ", perplexity before and after" if is_measured else ""
    figures = ["map of SQNR"]
    figures += ["weights before and after, and their error"] if drawn else []
    figures += ["loss of the training"] if is_trained else []
    return [
        Fact("Finding", f"sizes, bits per weight, errors{quality}, and how the result was checked"),
        Fact("Figures", ", ".join(figures), "SQNR"),
        Fact("Tensors", f"all {units.count(len(reports))}, with size and error"),
        Fact("Recipe", "as JSON, to repeat the run"),
        Fact("Origin", f"versions of the libraries, and SHA-256 of {units.file_size(result.file_bytes)} of weights"),
    ]


PAGE = Page(
    "report",
    "Report",
    70,
    "report",
    ReportPage,
    tip="What the last run found, as one file to keep or send.",
)
