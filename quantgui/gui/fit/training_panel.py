"""What fine-tuning the open model would need on the chosen hardware: everything, LoRA, QLoRA."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QVBoxLayout

from quantgui.fit.training import (
    MAX_BATCH,
    MAX_RANK,
    MAX_SEQUENCE,
    OPTIMIZER_BYTES,
    TrainingEstimate,
    TrainingKind,
    TrainingSettings,
    training_estimates,
)
from quantgui.gui import formatting, glossary
from quantgui.gui.app_state import AppState
from quantgui.gui.fit import words
from quantgui.gui.fit.controls import FIELD_HEIGHT
from quantgui.gui.fit.verdict_table import VerdictTable
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.error_slot import ErrorSlot
from quantgui.gui.widgets.number_box import whole_number
from quantgui.gui.widgets.row_model import Column
from quantgui.gui.widgets.text import small, term
from quantgui.types import HardwareTarget, UserError, Verdict

TITLE = "Fine-tuning this model"
PARTS = ("weights", "adapters", "gradients", "optimizer", "activations", "overhead")
VERDICT_COLUMN = len(PARTS) + 2
ADAPTERS_COLUMN, NARROW = 1 + PARTS.index("adapters"), 900
"""Adapters take as much as their gradients, so a narrow table, in device-independent pixels, leaves them out."""
_BATCH_LIMIT = min(MAX_BATCH, 4096)
EXPLANATION = "Activations and overhead are estimated; weights, gradients and optimizer follow from the parameters."


WAYS = {
    TrainingKind.FULL: "Full fine-tuning",
    TrainingKind.LORA: "LoRA, 16 bits",
    TrainingKind.QLORA: "QLoRA, 4 bits",
}


def _part(name: str) -> Column:
    def text(row: TrainingEstimate) -> str:
        found = next((part for part in row.parts if part.name == name), None)
        return "–" if found is None else formatting.memory(found.nbytes)

    def tip(row: TrainingEstimate) -> str:
        found = next((part for part in row.parts if part.name == name), None)
        if found is None:
            return ""
        spread = words.band(found.low, found.high)
        return "\n".join(filter(None, (found.note, f"{found.provenance.value}{', ' if spread else ''}{spread}")))

    return Column(name.capitalize(), text, tip=tip, right=True)


def _title(row: TrainingEstimate) -> str:
    return f"{WAYS[row.kind]}\n{formatting.parameters(row.trainable)} trained"


def _total(row: TrainingEstimate) -> str:
    return f"{formatting.memory(row.total_bytes)}\n{words.band(*row.band)}"


COLUMNS = (
    Column("Way", _title, tip=lambda row: row.title, word="Fine-tuning"),
    *(_part(name) for name in PARTS),
    Column("Total", _total, tip=lambda row: row.reason, right=True, word="Memory estimate"),
    Column("Verdict", lambda row: "", tip=lambda row: row.reason),
)


def optimizer_name(identifier: str) -> str:
    """ "paged AdamW 32-bit" for the identifier that training libraries use."""
    known = {"adamw": "AdamW", "sgd": "SGD"}
    return " ".join(known.get(word, word.replace("bit", "-bit")) for word in identifier.split("_"))


class TrainingPanel(Card):
    """Follows its own fields, the model and the hardware."""

    def __init__(self, state: AppState) -> None:
        super().__init__(TITLE)
        self._state = state
        default = TrainingSettings()
        self._sequence = whole_number("Sequence length", 1, MAX_SEQUENCE, default.sequence, unit="tokens")
        self._batch = whole_number("Sequences at once", 1, _BATCH_LIMIT, default.batch)
        self._rank = whole_number("Rank of the adapters", 1, MAX_RANK, default.rank)
        self._optimizer = QComboBox()
        for name in OPTIMIZER_BYTES:
            self._optimizer.addItem(optimizer_name(name), name)
        self._optimizer.setCurrentIndex(self._optimizer.findData(default.optimizer))
        self._optimizer.setAccessibleName("Optimizer")
        self._checkpointing = QCheckBox("Gradient checkpointing")
        self._checkpointing.setToolTip(glossary.explain("Gradient checkpointing"))
        self._checkpointing.setChecked(default.checkpointing)
        self.table = VerdictTable(COLUMNS, "Ways of fine-tuning", VERDICT_COLUMN, lambda row: row.verdict)
        self.table.set_widths(0, *(88 for _ in PARTS), 132, 104)
        self.table.give_up(ADAPTERS_COLUMN, NARROW)
        self._error = ErrorSlot()
        self.body.addLayout(self._fields())
        self.body.addWidget(self._error)
        self.body.addWidget(self.table)
        self.body.addWidget(small(EXPLANATION))
        self.body.addStretch(1)
        for box in (self._sequence, self._batch, self._rank):
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._show)
        self._optimizer.currentTextChanged.connect(self._show)
        self._checkpointing.toggled.connect(self._show)
        for signal in (state.fit_changed, state.hardware_changed, state.settings_changed):
            signal.connect(self._show)

    def showEvent(self, event: QShowEvent) -> None:
        """Estimate what changed while nobody looked."""
        super().showEvent(event)
        self._show()

    def _fields(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(18)
        for title, field in (
            ("Sequence", self._sequence),
            ("Batch", self._batch),
            ("Rank", self._rank),
            ("Optimizer", self._optimizer),
        ):
            pair = QVBoxLayout()
            pair.setSpacing(4)
            pair.addWidget(term(title))
            field.setFixedHeight(FIELD_HEIGHT)
            pair.addWidget(field)
            row.addLayout(pair)
        row.addWidget(self._checkpointing, 0, Qt.AlignmentFlag.AlignBottom)
        row.addStretch(1)
        return row

    def _settings(self) -> TrainingSettings:
        return TrainingSettings(
            self._sequence.value(),
            self._batch.value(),
            self._rank.value(),
            self._optimizer.currentData(),
            self._checkpointing.isChecked(),
        )

    def _show(self) -> None:
        checkpoint = self._state.checkpoint
        if checkpoint is None or not self.isVisible():
            return
        try:
            found = training_estimates(checkpoint, self._state.hardware, self._settings())
        except UserError as error:
            self._error.show_error(error)
            self.set_title(TITLE)
            self.table.set_rows(())
            return
        self._error.show_error(None)
        self.set_title(finding(found, self._state.hardware))
        self.table.set_rows(found)


def finding(rows: Sequence[TrainingEstimate], hardware: HardwareTarget) -> str:
    """The way that trains the most and still fits, or what the least one needs."""
    fitting = [row for row in rows if row.verdict in (Verdict.FITS, Verdict.TIGHT)]
    if fitting:
        best = max(fitting, key=lambda row: (row.trainable, row.total_bytes))
        return f"{best.title} fits {hardware.name}"
    least = min(rows, key=lambda row: row.total_bytes)
    return f"No way of fine-tuning fits {hardware.name}: {least.title} needs {formatting.memory(least.total_bytes)}"
