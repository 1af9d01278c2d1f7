"""The open model on several devices side by side: the best precision of each, and the rule of thumb for it."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence, QShowEvent
from PySide6.QtWidgets import QCompleter, QHBoxLayout, QLineEdit, QWidget

from quantgui.fit.corrections import Corrections
from quantgui.fit.questions import ComparisonRow, compare, default_targets
from quantgui.fit.settings import FitSettings
from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.fit import words
from quantgui.gui.fit.latest import Latest
from quantgui.gui.fit.verdict_table import VerdictTable
from quantgui.gui.throttle import Throttle
from quantgui.gui.top_bar import hardware_facts
from quantgui.gui.widgets.buttons import button, link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.text import small
from quantgui.hardware.catalogue import devices, parse_target
from quantgui.jobs.codec import from_json, to_json
from quantgui.types import Checkpoint, HardwareTarget, UserError, Verdict

_TARGETS = "fit.compared"
SETTLE_MS = 150
VERDICT_COLUMN, WHY_COLUMN, NARROW = 2, 5, 960
RESEARCH = "Rules of thumb are where people start; research that must not depend on rounding uses FP32."


@dataclass(frozen=True)
class Line:
    """A device; `found` is None while it is being estimated."""

    hardware: HardwareTarget
    found: ComparisonRow | None = None
    error: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """Of the recommended row; too large where none runs, None while it is not known."""
        if self.found is None:
            return None
        return self.found.estimate.verdict if self.found.estimate else Verdict.TOO_LARGE


@dataclass(frozen=True)
class Targets:
    """The devices that are compared, as they are remembered."""

    chosen: list[HardwareTarget]


def _best(line: Line) -> str:
    if line.found is None:
        return line.error or "…"
    row = line.found.estimate
    if row is None:
        return "none"
    return f"{words.name_of(row.scheme_id)}\n{formatting.memory(row.total_bytes)} · {words.RUNTIMES[row.runtime]}"


def _why(line: Line) -> str:
    if line.found is None:
        return ""
    return line.found.recommendation.sentence if line.found.recommendation else "Nothing runs here."


def _rule(line: Line) -> str:
    return line.found.rule_of_thumb if line.found else ""


COLUMNS = (
    Column("Device", lambda line: f"{line.hardware.name}\n{hardware_facts(line.hardware)}"),
    Column("Best precision", _best, tip=_why, word="Recommended"),
    Column("Verdict", lambda line: "", tip=lambda line: _reason(line)),
    Column(
        "Context",
        lambda line: words.longest_context(line.found.estimate) if line.found and line.found.estimate else "–",
        right=True,
        word="Longest context",
    ),
    Column(
        "Tokens/s",
        lambda line: words.speed(line.found.estimate.speed) if line.found and line.found.estimate else "–",
        right=True,
        word="Tokens per second",
    ),
    Column("Why", _why, tip=_why, word="Recommended"),
    Column("Rule of thumb", lambda line: _rule(line).partition(". ")[0], tip=_rule),
)


def _reason(line: Line) -> str:
    return line.found.estimate.reason if line.found and line.found.estimate else line.error


def _compared(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings, corrections: Corrections
) -> Line:
    try:
        return Line(hardware, compare(checkpoint, (hardware,), settings, corrections)[0])
    except UserError as error:
        return Line(hardware, None, error.message)


class ComparePanel(Card):
    """Devices can be added by name, removed, and taken as the window's hardware."""

    def __init__(self, state: AppState) -> None:
        super().__init__("The same model on other hardware")
        self._state = state
        self._lines: list[Line] = [Line(hardware) for hardware in self._remembered()]
        self._latest = Latest(state, self)
        self._latest.arrived.connect(self._arrived)
        self._settle = Throttle(SETTLE_MS, self._start, self)
        self.table = VerdictTable(COLUMNS, "Devices side by side", VERDICT_COLUMN, lambda line: line.verdict)
        self.table.set_widths(196, 142, 152, 72, 78, 0, 0)
        self.table.give_up(WHY_COLUMN, NARROW)
        self.table.doubleClicked.connect(lambda _: self._use())
        remove = QAction("Remove", self.table)
        remove.setShortcut(QKeySequence.StandardKey.Delete)
        remove.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        remove.triggered.connect(self._remove)
        self.table.addAction(remove)
        self.body.addWidget(self.table, 1)
        self.body.addWidget(small(RESEARCH))
        self.body.addWidget(self._bar())
        self._error = ErrorSlot()
        self.body.addWidget(self._error)
        for signal in (state.fit_changed, state.hardware_changed):
            signal.connect(self._changed)
        state.settings_changed.connect(self._show)
        self._show()

    def _bar(self) -> QWidget:
        self._name = QLineEdit()
        self._name.setPlaceholderText("Add a device, such as RTX 5090, 2xA100 or Apple M4 Max 64GB")
        self._name.setAccessibleName("Device to add")
        completer = QCompleter([device.name for device in devices()], self._name)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self._name.setCompleter(completer)
        self._name.returnPressed.connect(self._add)
        bar = QWidget()
        row = QHBoxLayout(bar)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        row.addWidget(self._name, 1)
        row.addWidget(button("Add", self._add, icon="plus"))
        row.addSpacing(12)
        row.addWidget(link("Use this device", self._use, tip="Take the marked device as the window's hardware"))
        row.addWidget(link("Remove", self._remove, tip="Take the marked device out of the comparison"))
        row.addWidget(link("Reset", self._reset, tip="Compare the devices most people know"))
        return bar

    def showEvent(self, event: QShowEvent) -> None:
        """Estimate what changed while nobody looked."""
        super().showEvent(event)
        self._start()

    def _remembered(self) -> list[HardwareTarget]:
        text = self._state.remembered(_TARGETS)
        if text:
            try:
                return from_json(text, Targets).chosen
            except ValueError:
                pass  # written by another version: start with the usual devices
        return list(default_targets(self._state.machine))

    def _changed(self) -> None:
        machine = self._state.machine
        self._lines = [
            Line(machine if line.hardware.kind == machine.kind else line.hardware, line.found) for line in self._lines
        ]
        self._settle.request()

    def _start(self) -> None:
        """Estimate all devices again, one after the other."""
        self._next(0)

    def _next(self, number: int) -> None:
        checkpoint, settings = self._state.checkpoint, self._state.fit_settings
        if checkpoint is None or number >= len(self._lines):
            return
        hardware, corrections = self._lines[number].hardware, self._state.fit.corrections
        self._latest.ask(lambda: (number, _compared(checkpoint, hardware, settings, corrections)))

    def _arrived(self, answer: tuple[int, Line]) -> None:
        number, line = answer
        if number < len(self._lines):
            self._lines[number] = line
            self._show()
            self._next(number + 1)

    def _add(self) -> None:
        self._error.show_error(None)
        try:
            hardware = parse_target(self._name.text())
        except UserError as error:
            self._error.show_error(error, lambda: self._error.show_error(None))
            return
        self._name.clear()
        self._lines.append(Line(hardware))
        self._keep()
        self._start()

    def _remove(self) -> None:
        line = self.table.current()
        if line in self._lines:
            self._latest.forget()
            self._lines.remove(line)
            self._keep()
            self._start()

    def _reset(self) -> None:
        self._lines = [Line(hardware) for hardware in default_targets(self._state.machine)]
        self._keep()
        self._start()

    def _use(self) -> None:
        line = self.table.current()
        if line is not None:
            self._state.choose_hardware(line.hardware)

    def _keep(self) -> None:
        self._state.remember(_TARGETS, to_json(Targets([line.hardware for line in self._lines])))
        self._show()

    def _show(self) -> None:
        self.table.set_rows(self._lines)
