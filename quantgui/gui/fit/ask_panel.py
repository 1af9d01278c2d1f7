"""The questions asked the other way round: the longest, the most, the smallest, the best, the biggest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from quantgui.fit.questions import (
    Answer,
    DeviceAnswer,
    ModelCandidate,
    best_precision_for_speed,
    longest_context,
    models_that_fit,
    most_slots,
    smallest_device,
)
from quantgui.gui import formatting
from quantgui.gui.app_state import AppState
from quantgui.gui.fit import words
from quantgui.gui.fit.latest import Latest
from quantgui.gui.fit.question import Question
from quantgui.gui.throttle import Throttle
from quantgui.gui.widgets.buttons import link
from quantgui.gui.widgets.card import Card
from quantgui.gui.widgets.number_box import whole_number
from quantgui.gui.widgets.text import muted, term
from quantgui.hardware.catalogue import CatalogueDevice
from quantgui.types import MemoryEstimate

SETTLE_MS = 150
DEFAULT_SPEED = 20
MOST_MODELS = 3
_SPEED = "fit.asked_speed"


class AskPanel(Card):
    """Questions about the picked precision and the chosen hardware. Quick answers follow every change."""

    def __init__(self, state: AppState, picked: Callable[[], str]) -> None:
        super().__init__("Ask")
        self._state = state
        self._picked = picked
        self._device: DeviceAnswer | None = None
        self._models: list[ModelCandidate] = []
        self._longest_question = Question("")
        self._slots_question = Question("", self._find_slots)
        self._smallest_question = Question("", self._find_smallest)
        self._speed_question = Question("Which precision writes at least")
        self._biggest_question = Question("", self._find_biggest)
        self._slots = self._search(self._slots_question, self._show_slots)
        self._smallest = self._search(self._smallest_question, self._show_smallest)
        self._biggest = self._search(self._biggest_question, self._show_biggest)
        self._add_fields()
        inner = QWidget()
        inner.setProperty("role", "plain")
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(14)
        for question in (
            self._longest_question,
            self._slots_question,
            self._smallest_question,
            self._speed_question,
            self._biggest_question,
        ):
            column.addWidget(question)
        column.addWidget(muted("Pick another precision in the table of “What fits” to ask about it."))
        column.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setAccessibleName("Questions and answers")
        area.setWidget(inner)
        self.body.addWidget(area, 1)
        self._settle = Throttle(SETTLE_MS, self._show, self)
        for signal in (state.fit_changed, state.hardware_changed, state.settings_changed):
            signal.connect(self._settle.request)

    def showEvent(self, event: QShowEvent) -> None:
        """Answer for what was picked meanwhile."""
        super().showEvent(event)
        self._show()

    def _search(self, question: Question, show: Callable[[object], None]) -> Latest:
        made = Latest(self._state, self)
        made.arrived.connect(show)
        made.failed.connect(lambda error: question.show_answer(f"{error.message} {error.hint}".strip()))
        return made

    def _add_fields(self) -> None:
        remembered = self._state.remembered(_SPEED)
        value = int(remembered) if remembered.isdigit() else DEFAULT_SPEED
        self._speed = whole_number("Tokens per second", 1, 100_000, value)
        self._speed.setKeyboardTracking(False)
        self._speed.valueChanged.connect(self._change_speed)
        self._speed_question.fields.addWidget(self._speed)
        self._speed_question.fields.addWidget(term("tokens per second?", "Tokens per second"))
        self._use_device = link("Use this device", self._take_device)
        self._smallest_question.links.addWidget(self._use_device)
        self._open_model = link("Open the first", self._take_model)
        self._biggest_question.links.addWidget(self._open_model)

    # --- quick answers ------------------------------------------------------------------------------------------

    def _row(self) -> MemoryEstimate | None:
        return next((e for e in self._state.estimates if e.scheme_id == self._picked()), None)

    def _show(self) -> None:
        """Answer what is quick, and forget what was true before the change."""
        row, state = self._row(), self._state
        if row is None:
            return
        name, here = words.name_of(row.scheme_id), state.hardware.name
        context = formatting.count(state.fit_settings.context)
        self._longest_question.ask(f"What is the longest context of {name} on {here}?")
        self._longest_question.show_answer(longest_context(row).sentence)
        self._slots_question.ask(f"How many sequences of {context} tokens fit at once with {name}?")
        self._smallest_question.ask(f"What is the smallest device that runs {name}?")
        self._biggest_question.ask(f"What is the biggest model of the catalogue that fits {here}?")
        self._show_speed()
        for latest in (self._slots, self._smallest, self._biggest):
            latest.forget()
        for question in (self._slots_question, self._smallest_question, self._biggest_question):
            question.show_answer("")
        self._use_device.hide()
        self._open_model.hide()

    def _show_speed(self) -> None:
        answer = best_precision_for_speed(self._state.estimates, self._speed.value())
        self._speed_question.show_answer(answer.sentence)

    def _change_speed(self, value: int) -> None:
        self._state.remember(_SPEED, str(value))
        self._show_speed()

    # --- answers that take a while ------------------------------------------------------------------------------

    def _find_slots(self) -> None:
        state, picked = self._state, self._picked()
        checkpoint, hardware, settings = state.checkpoint, state.hardware, state.fit_settings
        learnt = state.fit.corrections
        if checkpoint is not None:
            self._slots_question.show_busy("Trying larger and larger batches …")
            self._slots.ask(lambda: most_slots(checkpoint, hardware, settings, picked, learnt))

    def _show_slots(self, answer: object) -> None:
        assert isinstance(answer, Answer)
        self._slots_question.show_answer(answer.sentence)

    def _find_smallest(self) -> None:
        state, picked = self._state, self._picked()
        checkpoint, settings, learnt = state.checkpoint, state.fit_settings, state.fit.corrections
        if checkpoint is not None:
            self._smallest_question.show_busy("Trying the devices of the catalogue, the smallest first …")
            self._smallest.ask(lambda: smallest_device(checkpoint, settings, picked, _runs_llms, learnt))

    def _show_smallest(self, answer: object) -> None:
        assert isinstance(answer, DeviceAnswer)
        self._device = answer
        self._smallest_question.show_answer(answer.sentence)
        self._use_device.setVisible(answer.hardware is not None)

    def _take_device(self) -> None:
        if self._device is not None and self._device.hardware is not None:
            self._state.choose_hardware(self._device.hardware)

    def _find_biggest(self) -> None:
        self._models = []
        self._biggest_question.show_busy("Trying the models of the catalogue, the biggest first …")
        state = self._state
        candidates = models_that_fit(state.hardware, state.fit_settings, corrections=state.fit.corrections)
        self._biggest.ask(lambda: (candidates, list(islice(candidates, 1))))

    def _show_biggest(self, answer: object) -> None:
        """One more model; the search goes on from there until there are enough."""
        assert isinstance(answer, tuple)
        candidates: Iterator[ModelCandidate] = answer[0]
        self._models += answer[1]
        sentences = "\n".join(candidate.sentence for candidate in self._models)
        self._open_model.setVisible(bool(self._models))
        if answer[1] and len(self._models) < MOST_MODELS:
            self._biggest_question.show_busy(sentences)
            self._biggest.ask(lambda: (candidates, list(islice(candidates, 1))))
        else:
            self._biggest_question.show_answer(sentences or "No model of the catalogue fits with 4 bits or more.")

    def _take_model(self) -> None:
        if self._models:
            self._state.open_model(self._models[0].model_id)


def _runs_llms(device: CatalogueDevice) -> bool:
    """Devices that people would choose to run a model: those with a GPU."""
    return device.has_gpu
