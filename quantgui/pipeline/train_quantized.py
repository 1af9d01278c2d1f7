"""A training as one stage of a quantization: everything it needs is looked at first, then it trains, saves and stops.

Only the weights that a trained scheme was chosen for learn; the rest of the model stays as it is, so that what is kept
is what the source holds. Other schemes' tensors take part unrounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from quantgui.calibration.text import read_documents
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.jobs import early_stop
from quantgui.jobs.events import Log, Stage, TrainingStep
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import Emit
from quantgui.pipeline.device import choose_device
from quantgui.pipeline.library_model import load_model
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.source import source_folder
from quantgui.pipeline.training import saved
from quantgui.pipeline.training.fake_quantized import fake_quantize
from quantgui.pipeline.training.loop import Training
from quantgui.pipeline.training.saved import TrainingIdentity, TrainingRecord
from quantgui.pipeline.training.settings import TrainingSettings
from quantgui.quality.text import bundled_text, tokenize
from quantgui.quant.methods.qat import METHOD_ID
from quantgui.quant.registry import row_method
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import GIB, Checkpoint, SourceKind, UserError

if TYPE_CHECKING:
    import torch

BYTES_PER_PARAMETER = 4
BYTES_PER_TRAINED = 12
"""Gradient and both moments of AdamW, beside the weight itself."""


@dataclass(frozen=True)
class PreparedTraining:
    """A training that can start: its text is tokenized, its memory is there."""

    job: QuantizeJob
    checkpoint: Checkpoint
    assignments: Mapping[str, Assignment]  # of the weights that are to learn, by tensor name
    settings: TrainingSettings
    windows: torch.Tensor  # token ids int64 [windows, context]

    def run(self, teller: ProgressTeller, emit: Emit) -> dict[str, torch.Tensor]:
        """The trained float32 weights by tensor name, on the CPU. Raises UserError where the training breaks."""
        emit(Stage("Loading the model for training"))
        training = self._training()
        self._warn_of_untrained(training.weights, emit)
        identity = TrainingIdentity(self.job.source, self.job.recipe, self.settings, self.windows.numel())
        self._take_up(training, identity, emit)
        emit(Stage("Training", "Every step rounds the weights as the file will hold them."))

        def tell(step: TrainingStep) -> None:
            emit(step)
            teller.sample_memory()

        unsaved = False

        def keep() -> None:
            nonlocal unsaved
            if not self.job.cache:
                return
            record = TrainingRecord(identity, training.step, tuple(training.losses))
            try:
                saved.save(self.job.cache, self.job.training_id, record, training.tensors())
                unsaved = False
            except OSError as error:  # a full disk must not end a training of hours; it is said once
                if not unsaved:
                    words = f"The training could not be saved after step {training.step:,}, so it could not go on later"
                    emit(Log(f"{words}: {error}", "warning"))
                unsaved = True

        training.run(tell, keep, early_stop.REQUESTED.is_set)
        if training.step < self.settings.steps:
            keep()
            emit(Log(f"The training was stopped after {training.step:,} of {self.settings.steps:,} steps.", "warning"))
        return {name: weight.detach().cpu() for name, weight in training.weights.items()}

    def forget(self) -> None:
        """The result is in place: nothing has to be taken up again. One that was stopped early can still go on."""
        if not early_stop.REQUESTED.is_set():
            saved.remove(self.job.cache, self.job.training_id)

    def _training(self) -> Training:
        import torch

        torch.set_num_threads(self.job.threads or psutil.cpu_count(logical=False) or 1)
        device = choose_device(self.job.device)
        folder = source_folder(self.checkpoint)
        student = load_model(folder).float().to(device)
        weights = fake_quantize(student, self.assignments)
        _check_loaded(weights, self.checkpoint)
        teacher = _frozen(load_model(folder).float().to(device)) if self.settings.distill else None
        return Training(student, weights, teacher, self.windows.to(device), self.settings)

    def _warn_of_untrained(self, trained: Mapping[str, Any], emit: Emit) -> None:
        left_out = len(self.assignments) - len(trained)
        if not trained:
            raise UserError(
                "None of the chosen weights is a linear layer that can be trained.",
                hint="Choose a precision that needs no training.",
            )
        if left_out:
            emit(Log(f"{left_out:,} weights are no plain linear layers; they are rounded without training.", "warning"))

    def _take_up(self, training: Training, identity: TrainingIdentity, emit: Emit) -> None:
        if not self.job.resume:
            return
        if not self.job.cache:
            raise UserError("A training can go on only where it was kept.", hint="Name the cache folder.")
        record, tensors = saved.load(self.job.cache, self.job.training_id, identity)
        training.take_up(record.step, record.losses, tensors)
        for step, loss in enumerate(record.losses, 1):
            emit(TrainingStep(step, self.settings.steps, loss, 0.0, replayed=True))
        emit(Log(f"The training goes on after step {record.step:,}."))


def prepare_training(
    job: QuantizeJob, checkpoint: Checkpoint, assignments: Sequence[Assignment]
) -> PreparedTraining | None:
    """What the recipe's trained schemes need, None where it has none.

    Raises UserError for a model that predicts no text, a text that is too short, and too little memory.
    """
    chosen = {a.tensor.name: a for a in assignments if a.scheme is not None and a.scheme.method == METHOD_ID}
    if not chosen:
        return None
    settings = TrainingSettings.of(_trained_spec(job.recipe))
    architecture = checkpoint.config.architecture if checkpoint.config is not None else ""
    if checkpoint.kind is not SourceKind.FOLDER or not architecture.endswith(("ForCausalLM", "LMHeadModel")):
        raise UserError(
            f"“{checkpoint.name}” cannot be trained ({architecture or 'no architecture stated'}).",
            hint="Training needs the Hugging Face folder of a causal language model. Choose another precision.",
        )
    _check_memory(checkpoint, chosen.values(), settings)
    text = Path(settings.text).expanduser() if settings.text else bundled_text("training")
    ids = tokenize(source_folder(checkpoint), read_documents(text))
    if len(ids) < settings.context:
        raise UserError(
            f"{text.name} has {len(ids):,} tokens; a training sequence takes {settings.context:,}.",
            hint="Choose a longer text, or shorter sequences.",
        )
    windows = ids[: len(ids) // settings.context * settings.context].view(-1, settings.context)
    return PreparedTraining(job, checkpoint, chosen, settings, windows)


def _trained_spec(recipe: Recipe) -> SchemeSpec:
    """The first trained spec of the recipe: one training has one set of settings, the base's where it is trained."""
    specs = (recipe.base, *(rule.scheme for rule in recipe.rules if rule.scheme is not None))
    return next(spec for spec in specs if row_method(spec.id).id == METHOD_ID)


def _check_memory(checkpoint: Checkpoint, chosen: Any, settings: TrainingSettings) -> None:
    models = 2 if settings.distill else 1
    trained = sum(a.tensor.numel for a in chosen)
    needed = models * BYTES_PER_PARAMETER * checkpoint.parameters + BYTES_PER_TRAINED * trained
    available = psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"This training takes more than {needed / GIB:.1f} GiB of memory, and {available / GIB:.1f} GiB are free.",
            hint="Turn off “Learn from the original”, keep some layers by rules, or choose a calibrated precision.",
        )


def _check_loaded(weights: Mapping[str, torch.Tensor], checkpoint: Checkpoint) -> None:
    """transformers fills what it does not find with random numbers; a training must not start from those."""
    import torch

    infos = {info.name: info for info in checkpoint.tensors}
    with TensorData(checkpoint) as data:
        for name, weight in weights.items():
            if not torch.equal(data.tensor(infos[name]).float(), weight.detach().cpu()):
                raise UserError(
                    f"transformers loads the weight {name} otherwise than the checkpoint holds it.",
                    hint="Choose a precision that needs no training.",
                )


def _frozen(model: Any) -> Any:
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model
