"""The importance matrix of the recipe: the one it names, one that could be used, and one that is being computed."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from quantgui.formats.gguf.imatrix import MatrixFacts, read_facts
from quantgui.formats.gguf.names import gguf_tensors
from quantgui.gui.importance.words import result_words
from quantgui.gui.saving import file_name
from quantgui.jobs.events import Failed, Finished, ImatrixResult
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import Calibration, ImatrixJob
from quantgui.quant.registry import row
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint, SourceKind, UserError

if TYPE_CHECKING:
    from quantgui.gui.app_state import AppState

PARAMETER = "imatrix"
"""What the rows that take a matrix call it."""
SUFFIX = ".imatrix.gguf"
COMPUTABLE = (SourceKind.FOLDER, SourceKind.TORCH)
OTHER_FILE = "Compute one for this model, or choose another file."


@dataclass(frozen=True)
class KnownMatrix:
    """A file that was looked at: what it tells, and why it cannot be used with the open model, if so."""

    path: str
    facts: MatrixFacts | None = None
    error: UserError | None = None


class ImportanceState(QObject):
    """Looks at files in the background; what is computed goes into the recipe where that still is about the model."""

    changed = Signal()  # chosen or offered; how far a computation is, `runs.changed` tells

    def __init__(self, state: AppState) -> None:
        super().__init__(state)
        self._state = state
        self.chosen: KnownMatrix | None = None
        self.offered: KnownMatrix | None = None
        self._looks = 0
        for signal in (state.checkpoint_changed, state.recipe_changed, state.settings_changed):
            signal.connect(self.look)
        state.runs.importance.ended.connect(self._ended)

    @property
    def is_possible(self) -> bool:
        """Whether the recipe's precision takes a matrix."""
        return takes_matrix(self._state.recipe)

    @property
    def path(self) -> str:
        """The file that the recipe names, "" for none."""
        return str(self._state.recipe.base.parameters.get(PARAMETER, ""))

    @property
    def objection(self) -> str:
        """Why none can be computed for this model, "" where one can."""
        checkpoint = self._state.checkpoint
        if checkpoint is None or not checkpoint.path:
            return "It is computed from the weights, which are not on this machine."
        if checkpoint.kind not in COMPUTABLE:
            return "It is computed from the Hugging Face folder of the model; this is a single file."
        return ""

    @property
    def job(self) -> RunState | None:
        """The computation at work, None where none is."""
        return self._state.runs.importance.state if self._state.runs.importance.is_running else None

    def default_path(self) -> str:
        """Where the next matrix of the open model goes: beside the outputs, named after it. "" without a model."""
        checkpoint = self._state.checkpoint
        return "" if checkpoint is None else str(self._state.outputs_folder / f"{_stem(checkpoint)}{SUFFIX}")

    def predict(self, calibration: Calibration) -> float | None:
        """Seconds that computing one will take, None where nothing is known yet."""
        checkpoint = self._state.checkpoint
        if checkpoint is None:
            return None
        block_bytes = sum(tensor.nbytes for tensor in checkpoint.tensors if tensor.layer is not None)
        tokens = calibration.samples * calibration.length
        return self._state.runs.times.predict_importance(block_bytes, tokens, self._state.settings.device)

    def use(self, path: str) -> None:
        """Let the recipe name this file ("" for none)."""
        base = self._state.recipe.base
        parameters = {name: value for name, value in base.parameters.items() if name != PARAMETER}
        if path:
            parameters[PARAMETER] = path
        self._state.set_recipe(replace(self._state.recipe, base=SchemeSpec(base.id, parameters)))

    def look(self) -> None:
        """Look at the file that the recipe names, or for one that it could name."""
        checkpoint, path = self._state.checkpoint, self.path
        self._looks += 1
        look = self._looks
        candidates = [Path(path)] if path else self._candidates()
        if checkpoint is None or not self.is_possible or not candidates:
            self._found(None, None)
            return
        self._state.in_background(
            lambda: [look_at(candidate, checkpoint) for candidate in candidates],
            lambda done: self._looked(look, bool(path), done),
        )

    def _candidates(self) -> list[Path]:
        """Files that were computed for a model of this name, the newest first."""
        checkpoint = self._state.checkpoint
        if checkpoint is None:
            return []
        try:
            found = [p for p in self._state.outputs_folder.iterdir() if p.name.startswith(_stem(checkpoint))]
            return sorted((p for p in found if p.name.endswith(SUFFIX)), key=lambda p: -p.stat().st_mtime)
        except OSError:
            return []

    def _looked(self, look: int, is_named: bool, done: Future[list[KnownMatrix]]) -> None:
        if look != self._looks:
            return
        found = done.result()
        if is_named:
            self._found(found[0], None)
            return
        name = self._state.checkpoint.name if self._state.checkpoint else ""
        fitting = (known for known in found if known.error is None and known.facts and known.facts.model == name)
        self._found(None, next(fitting, None))

    def _found(self, chosen: KnownMatrix | None, offered: KnownMatrix | None) -> None:
        self.chosen, self.offered = chosen, offered
        self.changed.emit()

    def _ended(self) -> None:
        run = self._state.runs.importance.state
        outcome, job = (run.outcome, run.job) if run is not None else (None, None)
        assert isinstance(job, ImatrixJob)
        if isinstance(outcome, Finished) and outcome.imatrix is not None:
            self._take(job, outcome.imatrix)
        elif isinstance(outcome, Failed) and not self._state.runs.importance.is_watched:
            self._state.message.emit(UserError(outcome.message, hint=outcome.hint, details=outcome.details))
        self.changed.emit()
        self.look()

    def _take(self, job: ImatrixJob, result: ImatrixResult) -> None:
        """Put a finished matrix into the recipe, unless that or the model has become another one meanwhile."""
        checkpoint = self._state.checkpoint
        is_ours = checkpoint is not None and checkpoint.path == job.source and self.is_possible
        if is_ours:
            self.use(result.output)
        if not self._state.runs.importance.is_watched:
            where = "in the recipe" if is_ours else f"at {result.output}"
            self._state.message.emit(f"The importance matrix is ready, {where}: {result_words(result)}.")


def takes_matrix(recipe: Recipe) -> bool:
    """Whether the precision of a recipe has the parameter. Never raises: a saved recipe may name what is not here."""
    try:
        return any(parameter.name == PARAMETER for parameter in row(recipe.base.id).parameters)
    except UserError:
        return False


def look_at(path: Path, checkpoint: Checkpoint) -> KnownMatrix:
    """What the file tells, and whether it fits the model."""
    try:
        facts = read_facts(path)
        tensors = gguf_tensors(checkpoint) if checkpoint.kind in COMPUTABLE else ()
    except (UserError, OSError) as error:
        return KnownMatrix(str(path), error=_as_user_error(path, error))
    is_about_another = bool(tensors) and not any(tensor.name in facts.shapes for tensor in tensors)
    misfit = "all of its tensors" if is_about_another else facts.misfit(tensors)
    if misfit:
        words = f"“{path.name}” was made for another model: it does not fit {misfit}."
        return KnownMatrix(str(path), facts, UserError(words, hint=OTHER_FILE))
    return KnownMatrix(str(path), facts)


def _as_user_error(path: Path, error: UserError | OSError) -> UserError:
    words = error.message if isinstance(error, UserError) else f"“{path.name}” cannot be read."
    details = error.details if isinstance(error, UserError) else str(error)
    return UserError(f"The importance matrix cannot be used. {words}", hint=OTHER_FILE, details=details)


def _stem(checkpoint: Checkpoint) -> str:
    """What the files that are computed for a model begin with."""
    return file_name(checkpoint.name.split("/")[-1])
