"""The picked precision in words: verdict and reason, every part with where it comes from, placement, speed, quality."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from quantgui.fit.weights import STORED
from quantgui.gui import formatting
from quantgui.gui.fit import words
from quantgui.gui.fit.command_box import CommandBox
from quantgui.gui.fit.part_line import PartLine
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.text import label, line, muted, small
from quantgui.gui.widgets.verdict_badge import VerdictBadge
from quantgui.quant.registry import rows
from quantgui.types import DeviceLoad, MemoryEstimate, MemoryKind, Runtime

AS_IT_IS = "The checkpoint as it is."
GGUF_FILE = "One GGUF file, also for Ollama and LM Studio."


class Details(Card):
    """Labels are filled again, never made again: the slider moves while they are read."""

    def __init__(self) -> None:
        super().__init__("Precision")
        self._badge = VerdictBadge()
        self.header.addWidget(self._badge)
        self._summary = muted()
        self._reason = label(wrap=True)
        self._parts = [PartLine() for _ in MemoryKind]
        self._facts = Facts()
        self._speed_note, self._quality_note = small(), small()
        self._placement = label(wrap=True)
        self._devices = muted()
        self._command = CommandBox()
        inner = QWidget()
        inner.setProperty("role", "plain")
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(8)
        for widget in (
            *(self._summary, self._reason, line(), *self._parts, line()),
            *(self._facts, self._speed_note, self._quality_note, line()),
            *(self._placement, self._devices, self._command),
        ):
            column.addWidget(widget)
        column.addStretch(1)
        self.body.addWidget(_scroller(inner))

    def show_estimate(self, estimate: MemoryEstimate, command: str) -> None:
        """Show this row; `command` runs it."""
        self.set_title(words.name_of(estimate.scheme_id))
        self._badge.set_verdict(estimate.verdict, estimate.reason)
        self._summary.setText(summary_of(estimate))
        self._reason.setText(estimate.reason)
        for widget, part in zip(self._parts, estimate.parts, strict=False):
            widget.show_part(part)
        for widget in self._parts[len(estimate.parts) :]:
            widget.hide()
        self._facts.set_facts(_facts(estimate))
        _show_note(self._speed_note, estimate.speed.note if estimate.speed else "")
        _show_note(self._quality_note, estimate.quality.source if estimate.quality else "")
        placement = estimate.placement
        _show_note(self._placement, placement.sentence if placement else "")
        _show_note(self._devices, "\n".join(_device(load) for load in placement.devices) if placement else "")
        self._command.show_command(command)

    def copy_command(self) -> None:
        """Put the command that runs the row on the clipboard."""
        self._command.copy()


def summary_of(estimate: MemoryEstimate) -> str:
    """One sentence on what the precision is."""
    row = next((row for row in rows() if row.id == estimate.scheme_id), None)
    if row is not None:
        what = row.summary
    elif estimate.scheme_id == STORED:
        what = AS_IT_IS
    else:
        what = GGUF_FILE if estimate.runtime is Runtime.LLAMA_CPP else ""
    return f"{what} For {words.RUNTIMES[estimate.runtime]}.".strip()


def _facts(estimate: MemoryEstimate) -> Iterator[Fact]:
    is_known = all(part.nbytes is not None for part in estimate.parts)
    yield Fact(
        "Total" if is_known else "Known sum",
        words.total_in_words(estimate),
        "Memory estimate",
        tip=f"{formatting.count(estimate.total_bytes)} bytes",
    )
    if estimate.file_bytes is not None:
        tip = f"{formatting.count(estimate.file_bytes)} bytes"
        yield Fact("File", formatting.file_size(estimate.file_bytes), "File size", tip=tip)
    yield Fact("Precision", formatting.bits_per_weight(estimate.bits_per_weight), "Bits per weight")
    if estimate.longest_context is not None:
        tokens = formatting.count(estimate.longest_context)
        said = f"up to {tokens}" if estimate.longest_context else "not even one token"
        yield Fact("Context", said, "Longest context", tip=f"{tokens} tokens per sequence")
    if estimate.speed is not None:
        yield Fact("Speed", words.speed_with_band(estimate.speed), "Tokens per second")
        if estimate.speed.first_token_seconds is not None:
            yield Fact("First token", f"after {formatting.duration(estimate.speed.first_token_seconds)}")
    if estimate.quality is not None:
        yield Fact("Quality", estimate.quality.words, "Quality loss")


def _device(load: DeviceLoad) -> str:
    layers = "" if not load.layers else f", {formatting.count(load.layers)} layers"
    return f"{load.name}: {formatting.memory(load.nbytes)} of {formatting.memory(load.capacity_bytes)}{layers}"


def _show_note(widget: QLabel, text: str) -> None:
    widget.setText(text)
    widget.setVisible(bool(text))


def _scroller(inner: QWidget) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setAccessibleName("Details of the picked precision")
    area.setWidget(inner)
    return area
