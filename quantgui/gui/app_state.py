"""The one holder of truth. Widgets send it commands, it changes a snapshot and says so; views only read and redraw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from quantgui.fit.settings import FitSettings, default_context
from quantgui.gui import formatting
from quantgui.gui.background import Background
from quantgui.gui.cache_folder import OWN_FOLDER, prune
from quantgui.gui.fit_state import FitState
from quantgui.gui.history import History
from quantgui.gui.importance_state import ImportanceState
from quantgui.gui.model_opener import ModelOpener
from quantgui.gui.plan_state import PlanState
from quantgui.gui.runs import Runs
from quantgui.gui.saving import file_name
from quantgui.gui.settings import RECENT_MODELS, Session, Settings, load, save
from quantgui.hardware.probe import this_machine
from quantgui.home import Home
from quantgui.jobs.fold import RunState
from quantgui.jobs.job import Calibration, ExportJob, ImatrixJob, InspectJob, QuantizeJob
from quantgui.jobs.run_record import FILE_SUFFIX
from quantgui.quant.assignment import is_gguf
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import GB, Checkpoint, HardwareTarget, MemoryEstimate, UserError

log = logging.getLogger(__name__)

DEFAULT_RECIPE = Recipe(SchemeSpec("INT4"))
UNKNOWN_MACHINE = HardwareTarget(name="This machine", kind="this machine", note="Being looked at.")
SAVE_DELAY_MS = 400
NO_WEIGHTS = "Download the model, then open its folder."


class AppState(QObject):
    """Snapshots, the signals that say which one changed, and the commands that change them."""

    checkpoint_changed = Signal()  # checkpoint, checkpoint_busy or checkpoint_error
    hardware_changed = Signal()
    fit_changed = Signal()  # fit_settings or estimates
    recipe_changed = Signal()
    run_changed = Signal()
    runs_changed = Signal()  # the run library has one more or one less
    selection_changed = Signal()
    settings_changed = Signal()
    page_requested = Signal(str)
    message = Signal(object)  # a UserError, or text

    def __init__(self, home: Home, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.home = home
        self._settings = load(home.settings_file, Settings)
        self._session = load(home.session_file, Session)
        formatting.use_memory_unit(self._settings.memory_unit)
        self._checkpoint: Checkpoint | None = None
        self._busy = ""
        self._error: UserError | None = None
        self._machine = UNKNOWN_MACHINE
        self._hardware = self._session.hardware or UNKNOWN_MACHINE
        self.fit = FitState(self._session.fit or FitSettings(), home.corrections_file, self)
        self.fit.changed.connect(self.fit_changed)
        self._recipes = History(self._session.recipe or DEFAULT_RECIPE)
        self._selected: str | None = None
        self._background = Background(self)
        self.plans = PlanState(self._background, self)
        self._opener = ModelOpener(self._background, self)
        self._opener.opened.connect(self._opened)
        self._opener.failed.connect(self._open_failed)
        self.runs = Runs(home.times_file, self)
        self.runs.message.connect(self.message)
        self._run = self.runs.main
        self._run.changed.connect(self.run_changed)
        self._run.ended.connect(self.runs_changed)
        self.importance = ImportanceState(self)
        self._saver = QTimer(self, singleShot=True, interval=SAVE_DELAY_MS)
        self._saver.timeout.connect(self.save)

    # --- snapshots ----------------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The open model."""
        return self._checkpoint

    @property
    def checkpoint_busy(self) -> str:
        """What is being opened, "" where nothing is."""
        return self._busy

    @property
    def checkpoint_error(self) -> UserError | None:
        """Why the last model could not be opened."""
        return self._error

    @property
    def hardware(self) -> HardwareTarget:
        """Where the model is to run."""
        return self._hardware

    @property
    def machine(self) -> HardwareTarget:
        """This machine, as far as it has been looked at."""
        return self._machine

    @property
    def fit_settings(self) -> FitSettings:
        """Context length, batch and the rest of what an estimate depends on."""
        return self.fit.settings

    @property
    def estimates(self) -> Sequence[MemoryEstimate]:
        """One estimate per precision for the open model on the chosen hardware; empty without a model."""
        return self.fit.estimates

    @property
    def recipe(self) -> Recipe:
        """What the next run will do."""
        return self._recipes.value

    @property
    def can_undo(self) -> bool:
        """Whether the recipe has an earlier state."""
        return self._recipes.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether an undone recipe can be taken up again."""
        return self._recipes.can_redo

    @property
    def run(self) -> RunState | None:
        """The job at work or the last one that ended."""
        return self._run.state

    @property
    def is_running(self) -> bool:
        """Whether a job is at work now: a run, or one beside it."""
        return self.runs.at_work is not None

    @property
    def selected_tensor(self) -> str | None:
        """Full name of the tensor that the plots show."""
        return self._selected

    @property
    def settings(self) -> Settings:
        """Choices of the Settings page."""
        return self._settings

    @property
    def recent_models(self) -> list[str]:
        """References of models opened lately, the newest first."""
        return list(self._session.recent_models)

    @property
    def last_page(self) -> str:
        """Id of the page that was open when the window closed, "" at the first start."""
        return self._session.page

    @property
    def outputs_folder(self) -> Path:
        """Where new checkpoints are written unless somebody says otherwise."""
        chosen = self._settings.outputs_folder
        return Path(chosen).expanduser() if chosen else self.home.outputs

    @property
    def cache_folder(self) -> Path:
        """Where intermediate results are kept: our own folder, also below one that the person chose."""
        chosen = self._settings.cache_folder
        return Path(chosen).expanduser() / OWN_FOLDER if chosen else self.home.cache

    def default_output(self) -> str:
        """Folder (for GGUF the file) of the next run: outputs, model and precision. "" without a model."""
        if self._checkpoint is None:
            return ""
        name = file_name(f"{self._checkpoint.name.split('/')[-1]}-{self.recipe.name or self.recipe.base.id}")
        return str(self.outputs_folder / (name + (FILE_SUFFIX if is_gguf(self.recipe) else "")))

    # --- commands: model, hardware, fit -------------------------------------------------------------------------

    def restore(self) -> None:
        """Look at this machine and open the last model (at first the bundled one). Called once the window stands."""
        self._background.run(this_machine, self._probed)
        self.open_model(self._session.model or "demo")
        limit = int(self._settings.cache_limit_gb * GB)
        self._background.run(
            partial(prune, self.cache_folder, limit),
            lambda done: log.info("bytes freed in the cache: %s", done.exception() or done.result()),
        )

    def refresh_machine(self) -> None:
        """Look at this machine again: free memory changes."""
        self._background.run(this_machine, self._probed)

    def open_model(self, reference: str) -> None:
        """Open a path, "demo" or a catalogue id. The open model stays until the new one is there."""
        self._busy, self._error = reference, None
        self.checkpoint_changed.emit()
        self._opener.open(reference)

    def dismiss_error(self) -> None:
        """Forget why the last model could not be opened."""
        self._error = None
        self.checkpoint_changed.emit()

    def choose_hardware(self, target: HardwareTarget) -> None:
        """Estimate for `target` from now on."""
        self._hardware = target
        self._remember(hardware=None if target == self._machine else target)
        self.hardware_changed.emit()
        self._estimate()

    def change_fit(self, **fields: Any) -> None:
        """Replace fields of `fit_settings` and estimate again. A context set here stays with the open model."""
        changed = replace(self.fit.settings, **fields)
        if changed != self.fit.settings:
            self.fit.settings = changed
            self._remember(fit=changed)
            if "context" in fields and self._checkpoint is not None:
                self._remember(contexts={**self._session.contexts, self._session.model: changed.context})
            self._estimate()

    def in_background(self, work: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        """Call `work()` off the GUI thread, then `then(future)` on it. For short work: models are opened there too."""
        self._background.run(work, then)

    # --- commands: recipe ---------------------------------------------------------------------------------------

    def set_recipe(self, recipe: Recipe) -> None:
        """Make `recipe` the next run's; the one before can be taken back."""
        self._announce_recipe(self._recipes.push(recipe))

    def undo_recipe(self) -> None:
        """Take back the last change of the recipe."""
        self._announce_recipe(self._recipes.undo())

    def redo_recipe(self) -> None:
        """Take up again what was taken back."""
        self._announce_recipe(self._recipes.redo())

    # --- commands: runs -----------------------------------------------------------------------------------------

    def start_quantize(
        self,
        output: str = "",
        *,
        overwrite: bool = False,
        requantize: bool = False,
        verify: bool = True,
        device: str | None = None,
    ) -> None:
        """Quantize the open model by the recipe into `output` ("" is the default place).

        `requantize` is the explicit yes to rounding a GGUF file that is quantized already.
        """
        if (source := self._source()) is not None:
            job = QuantizeJob(
                source=source,
                output=output or self.default_output(),
                recipe=self.recipe,
                device=device or self._settings.device,
                threads=self._settings.threads,
                overwrite=overwrite,
                allow_requantize=requantize,
                verify=verify,
                cache=str(self.cache_folder),
            )
            self.runs.start(job)

    def start_inspect(self, against: str | None = None) -> None:
        """Read the statistics of every tensor of the open model, against another checkpoint where one is given."""
        if (source := self._source()) is not None:
            self.runs.start(InspectJob(source=source, against=against))

    def start_importance(self, output: str, calibration: Calibration) -> None:
        """Compute the importance matrix of the open model into the file `output`; the recipe takes it over."""
        if self._checkpoint is not None and (source := self._source()) is not None:
            name, device = self._checkpoint.name, self._settings.device
            self.runs.compute_importance(ImatrixJob(source, output, calibration, device, name))

    def start_export(self, output: str) -> None:
        """Export the open model as ONNX into the folder `output`."""
        if (source := self._source()) is not None:
            self.runs.start_export(ExportJob(source, output))

    def cancel_run(self) -> None:
        """Stop the running job, whichever it is; its Cancelled event follows."""
        self.runs.cancel()

    def load_run(self, folder: str) -> None:
        """Show a finished run again. What cannot be read becomes a message."""
        self.runs.load(folder)

    # --- commands: views and settings ---------------------------------------------------------------------------

    def select_tensor(self, name: str | None) -> None:
        """Let every plot show the tensor of this full name."""
        if name != self._selected:
            self._selected = name
            self.selection_changed.emit()

    def request_page(self, page_id: str) -> None:
        """Ask the window to show a page."""
        self._remember(page=page_id)
        self.page_requested.emit(page_id)

    def change_settings(self, **fields: Any) -> None:
        """Replace fields of `settings`, save them and tell everybody."""
        changed = replace(self._settings, **fields)
        if changed != self._settings:
            self._settings = changed
            formatting.use_memory_unit(changed.memory_unit)
            save(self.home.settings_file, changed)
            self.settings_changed.emit()

    def remembered(self, key: str) -> str:
        """What `remember` was given under this key (a width, a fold, a sort order), "" where nothing was."""
        return self._session.ui.get(key, "")

    def remember(self, key: str, value: str) -> None:
        """Keep a detail of the window's arrangement for the next start."""
        self._remember(ui={**self._session.ui, key: value})

    def save(self) -> None:
        """Write the session now."""
        self._saver.stop()
        save(self.home.session_file, self._session)

    def close(self) -> None:
        """Stop everything that runs and save: the window is closing."""
        self.runs.close()
        self._opener.cancel_reading()
        self._background.close()
        self.save()

    # --- inside -------------------------------------------------------------------------------------------------

    def _remember(self, **fields: Any) -> None:
        self._session = replace(self._session, **fields)
        self._saver.start()

    def _opened(self, reference: str, checkpoint: Checkpoint) -> None:
        self._checkpoint, self._busy, self._error = checkpoint, "", None
        self._selected = None
        recent = [reference, *(other for other in self._session.recent_models if other != reference)]
        contexts = {key: value for key, value in self._session.contexts.items() if key in recent}
        self._remember(model=reference, recent_models=recent[:RECENT_MODELS], contexts=contexts)
        context = contexts.get(reference, default_context(checkpoint.config))
        self.fit.settings = replace(self.fit.settings, context=context)
        log.info("opened %s: %d tensors, %d parameters", reference, len(checkpoint.tensors), checkpoint.parameters)
        self.plans.make(checkpoint, self.recipe)
        self.checkpoint_changed.emit()
        self.selection_changed.emit()
        self._estimate()

    def _open_failed(self, reference: str, error: UserError) -> None:
        log.warning("could not open %s: %s %s", reference, error, error.details)
        self._busy, self._error = "", error
        self.checkpoint_changed.emit()

    def _probed(self, done: Future[HardwareTarget]) -> None:
        try:
            machine = done.result()
        except Exception as error:
            log.exception("this machine could not be looked at")
            self.message.emit(UserError("This machine could not be looked at.", details=repr(error)))
            return
        was_chosen = self._hardware == self._machine
        self._machine = machine
        if was_chosen:
            self.choose_hardware(machine)
        else:
            self.hardware_changed.emit()

    def _estimate(self) -> None:
        self.fit.estimate(self._checkpoint, None if self._hardware is UNKNOWN_MACHINE else self._hardware)

    def _announce_recipe(self, changed: bool) -> None:
        if changed:
            self._remember(recipe=self.recipe)
            if self._checkpoint is not None:
                self.plans.make(self._checkpoint, self.recipe)
            self.recipe_changed.emit()

    def _source(self) -> str | None:
        """The open model's path for a job; None where there is none, which a message then says."""
        if self._checkpoint is None:
            self.message.emit(UserError("No model is open.", hint="Open one on the Model page."))
        elif not self._checkpoint.path:
            self.message.emit(UserError(f"{self._checkpoint.name} has shapes but no weights.", hint=NO_WEIGHTS))
        return (self._checkpoint.path or None) if self._checkpoint is not None else None
