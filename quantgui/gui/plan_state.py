"""What the recipe will do to the open model: the numbers behind the Recipe page and the preparation of a run."""

from __future__ import annotations

from concurrent.futures import Future

from PySide6.QtCore import QObject, Signal

from quantgui.gui.background import Background
from quantgui.gui.recipe.plan import RecipePlan, make_plan
from quantgui.schemes.recipe import Recipe
from quantgui.types import Checkpoint

MOST_AT_ONCE = 2000
"""Tensors that are planned within a frame or two; a model of 45,000 takes 0.4 s, which the window must not wait for."""


class PlanState(QObject):
    """Holds the newest plan, made once per model and recipe. While one is being made, `plan` is the one before.

    A plan of another model is never kept: its tensors are not those of the open one.
    """

    changed = Signal()  # plan or is_pending

    def __init__(self, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.plan = RecipePlan()
        self.is_pending = False
        self._background = background
        self._checkpoint: Checkpoint | None = None
        self._request = 0

    def make(self, checkpoint: Checkpoint, recipe: Recipe) -> None:
        """Plan again; for a large model in the background, where the newest request wins."""
        self._request += 1
        if checkpoint is not self._checkpoint:
            self._checkpoint, self.plan = checkpoint, RecipePlan()
        if len(checkpoint.tensors) <= MOST_AT_ONCE:
            self._set(make_plan(checkpoint, recipe))
            return
        self.is_pending = True
        self.changed.emit()
        request = self._request
        self._background.run(lambda: make_plan(checkpoint, recipe), lambda done: self._receive(request, done))

    def _receive(self, request: int, done: Future[RecipePlan]) -> None:
        if request == self._request:
            self._set(done.result())

    def _set(self, plan: RecipePlan) -> None:
        self.plan, self.is_pending = plan, False
        self.changed.emit()
