"""Before a run: what will happen, where to, on what. Says why it cannot start before anybody presses the button."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from quantgui import units
from quantgui.gui.app_state import AppState
from quantgui.gui.recipe.plan import RecipePlan
from quantgui.gui.run.consent import Consent
from quantgui.gui.run.places import Place, devices, look_at, unused_name
from quantgui.gui.run_times import time_words
from quantgui.gui.widgets.buttons import button, link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.facts import Fact, Facts
from quantgui.gui.widgets.text import muted
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import gguf_preflight, preflight
from quantgui.quant.assignment import is_gguf
from quantgui.report.findings import describe_recipe
from quantgui.types import Checkpoint, UserError

_WORDS_WIDTH = 92  # as wide as the words of the facts above
FILE_FILTER = "GGUF (*.gguf)"
_ASK_HERE = QFileDialog.Option.DontConfirmOverwrite  # the panel itself asks whether to replace what is there
_ASKS_PLACE = "Something of this name is there already: replace it, or use another name."
_ASKS_AGAIN = "Say whether the weights are to be rounded a second time, or start from the original."
_CHECK_FOLDER = ("Check the result by loading it", "A new process loads it and compares every weight.")
_CHECK_FILE = ("Check the result in llama.cpp", "In a new process llama.cpp loads it and computes with it.")


class PreparePanel(QWidget):
    """Reads model and recipe from the state; holds the output folder, the device and two choices."""

    changed = Signal()  # readiness may have changed

    def __init__(self, state: AppState) -> None:
        super().__init__()
        self._state = state
        self._objection: UserError | None = None
        self._is_default = True  # the output folder follows model and recipe until somebody types another
        self._facts = Facts()
        self._output = QLineEdit()
        self._output_title = muted(wrap=False)
        self._output.textEdited.connect(self._typed)
        self._output.textChanged.connect(self._look)
        self._replace = Consent("Replace it", link("Use a new name", self._use_new_name))
        self._replace.toggled.connect(self._check)
        self._again = Consent("Round it again")
        self._again.toggled.connect(self._check)
        self._room = muted()
        self._notes = muted()
        self._device = QComboBox()
        self._device.setAccessibleName("Device that computes")
        self._device.activated.connect(self._device_chosen)
        self._verify = QCheckBox()
        self._verify.setChecked(True)
        self._lay_out()
        for signal in (state.checkpoint_changed, state.plans.changed, state.settings_changed):
            signal.connect(self.refresh)
        state.importance.changed.connect(self._check)
        state.hardware_changed.connect(self._fill_devices)
        state.runs_changed.connect(self.refresh)
        self._fill_devices()
        self.refresh()

    @property
    def plan(self) -> RecipePlan:
        """What the recipe will do to the open model."""
        return self._state.plans.plan

    @property
    def objection(self) -> UserError | None:
        """Why the run cannot start and what to do about it; None where it can."""
        return self._objection

    @property
    def is_ready(self) -> bool:
        """Whether the run can start: nothing objects to it, and it is known what it will do."""
        return self._objection is None and not self._state.plans.is_pending

    @property
    def question(self) -> str:
        """What somebody has to agree to before the run can start, which is no error; "" where there is nothing."""
        if self._replace.is_open:
            return _ASKS_PLACE
        return _ASKS_AGAIN if self._again.is_open else ""

    def start(self) -> None:
        """Start the run as it is set up here; does nothing while there is an objection."""
        self._look()
        if self.is_ready:
            self._state.start_quantize(
                self._output_path(),
                overwrite=self._replace.is_given,
                requantize=self._again.is_given,
                verify=self._verify.isChecked(),
                device=self._device.currentData(),
            )

    def refresh(self) -> None:
        """Model, recipe or settings changed."""
        checkpoint = self._state.checkpoint
        if checkpoint is not None:
            self._show_facts(checkpoint)
        is_file = is_gguf(self._state.recipe)
        title = "Output file" if is_file else "Output folder"
        self._output_title.setText(title)
        self._output.setAccessibleName(title)
        check, explanation = _CHECK_FILE if is_file else _CHECK_FOLDER
        self._verify.setText(check)
        self._verify.setToolTip(explanation)
        if self._is_default and self._output.text() != self._state.default_output():
            self._output.setText(self._state.default_output())
        self._look()

    def _show_facts(self, checkpoint: Checkpoint) -> None:
        recipe, device = self._state.recipe, self._device.currentData() or self._state.settings.device
        facts = _facts(checkpoint, self.plan, describe_recipe(recipe))
        if self.plan.tensors:
            seconds = self._state.runs.times.predict(recipe, self.plan.quantized_weights, device)
            facts.append(Fact("Time", time_words(seconds)))
        self._facts.set_facts(facts)

    def _device_chosen(self) -> None:
        if self._state.checkpoint is not None:
            self._show_facts(self._state.checkpoint)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(14)
        what = Card("What will happen")
        what.body.addWidget(self._facts)
        what.body.addWidget(self._again)
        what.body.addWidget(self._notes)
        layout.addWidget(what)
        where = Card("Where it goes")
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(10)
        grid.setColumnStretch(1, 1)
        grid.setColumnMinimumWidth(0, _WORDS_WIDTH)
        folder = QHBoxLayout()
        folder.setSpacing(8)
        folder.addWidget(self._output, 1)
        folder.addWidget(button("Choose…", self._choose_folder, icon="folder"))
        grid.addWidget(self._output_title, 0, 0)
        grid.addLayout(folder, 0, 1)
        grid.addWidget(self._replace, 1, 1)
        grid.addWidget(self._room, 2, 1)
        grid.addWidget(muted("Computes on", wrap=False), 3, 0)
        row = QHBoxLayout()
        row.addWidget(self._device)
        row.addStretch(1)
        grid.addLayout(row, 3, 1)
        grid.addWidget(self._verify, 4, 1)
        where.body.addLayout(grid)
        layout.addWidget(where)
        layout.addStretch(1)

    def _typed(self) -> None:
        self._is_default = False

    def _choose_folder(self) -> None:
        parent = str(self._state.outputs_folder)
        if is_gguf(self._state.recipe):
            chosen, _ = QFileDialog.getSaveFileName(
                self, "Choose an output file", self._output_path(), FILE_FILTER, options=_ASK_HERE
            )
        else:
            chosen = QFileDialog.getExistingDirectory(self, "Choose an output folder", parent)
        if chosen:
            self._is_default = False
            self._output.setText(chosen)

    def _use_new_name(self) -> None:
        self._output.setText(unused_name(self._output.text()))

    def _look(self) -> None:
        """See what is at the output folder now, and whether anything stands in the way."""
        try:
            place = look_at(self._output.text().strip() or self._state.default_output())
        except OSError:
            place = None
        if place is not None:
            self._replace.ask(place.taken, may_agree=place.is_replaceable)
            self._room.setText(_room(place, self.plan.bytes_after))
        else:
            self._replace.ask("")
        checkpoint = self._state.checkpoint
        asks = checkpoint is not None and is_gguf(self._state.recipe)
        self._again.ask(gguf_preflight.rounds_again(checkpoint) if checkpoint is not None and asks else "")
        self._check()

    def _check(self) -> None:
        """The preflight that the run begins with."""
        self._warnings: tuple[str, ...] = ()
        matrix = self._state.importance.chosen
        self._objection = self.plan.error or self.plan.clash or (matrix.error if matrix is not None else None)
        checkpoint = self._state.checkpoint
        if checkpoint is None:
            self._objection = UserError("No model is open.", hint="Open one on the Model page.")
        elif self._objection is None and not self._state.plans.is_pending:
            assignments = [planned.assignment for planned in self.plan.tensors]
            job = QuantizeJob(
                checkpoint.path,
                self._output_path(),
                self._state.recipe,
                overwrite=self._replace.is_given,
                allow_requantize=self._again.is_given,
            )
            try:
                if is_gguf(job.recipe):
                    self._warnings = gguf_preflight.check_early(job, checkpoint, assignments)
                else:
                    self._warnings = preflight.check(job, checkpoint, assignments, self.plan.file_bytes)
            except UserError as error:
                self._objection = error
        self._notes.setText("\n".join(self._warnings))
        self._notes.setVisible(bool(self._warnings))
        self.changed.emit()

    def _output_path(self) -> str:
        text = self._output.text().strip()
        return str(Path(text).expanduser().absolute()) if text else self._state.default_output()

    def _fill_devices(self) -> None:
        chosen = self._device.currentData() or self._state.settings.device
        self._device.clear()
        for device, words in devices(self._state.machine):
            self._device.addItem(words, device)
        self._device.setCurrentIndex(max(0, self._device.findData(chosen)))


def _facts(checkpoint: Checkpoint, plan: RecipePlan, recipe: str) -> list[Fact]:
    changed = plan.changed
    kept = len(plan.tensors) - changed
    share = plan.bytes_after / plan.bytes_before if plan.bytes_before else 1.0
    facts = [
        Fact(
            "Model",
            f"{checkpoint.name} · {units.parameters(checkpoint.parameters)} parameters · {checkpoint.dtype} · "
            f"{units.file_size(checkpoint.nbytes)}",
            tip=checkpoint.path,
        ),
        Fact("Recipe", recipe),
    ]
    if plan.tensors:
        facts += [
            Fact(
                "Size after",
                f"{units.file_size(plan.bytes_after)}, {units.percent(share)} of what it is now",
                tip=f"{units.count(plan.bytes_after)} bytes of tensor data, exact: the writers use the same formula",
            ),
            Fact("Bits per weight", f"{plan.bits_per_weight:.2f}"),
            Fact("Tensors", f"{units.count(changed)} quantized, {units.count(kept)} kept as they are", word="Tensor"),
        ]
    return facts


def _room(place: Place, needed: int) -> str:
    if place.free_bytes is None:
        return "The free space of this disk is not known."
    return f"{units.file_size(place.free_bytes)} free on this disk; the weights take {units.file_size(needed)}."
