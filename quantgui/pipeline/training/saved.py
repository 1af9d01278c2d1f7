"""A training on disk, so that one that was stopped can go on: weights, both moments of AdamW, and where it stood.

One safetensors file per training, replaced as a whole, so a kill at any moment leaves the last complete one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.jobs.codec import from_json, to_json
from quantgui.jobs.saved_training import training_file
from quantgui.pipeline.training.settings import TrainingSettings
from quantgui.schemes.recipe import Recipe
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

RECORD = "training"
_KINDS = ("weight", "first", "second")


@dataclass(frozen=True)
class TrainingIdentity:
    """What must be equal for one training to be the continuation of another."""

    source: str
    recipe: Recipe
    settings: TrainingSettings
    tokens: int  # of the text


@dataclass(frozen=True)
class TrainingRecord:
    """Where a saved training stands; `losses` has one entry per step, in nats per token."""

    identity: TrainingIdentity
    step: int
    losses: tuple[float, ...] = ()


@dataclass
class TrainingTensors:
    """The tensors of a training between two steps, all float32 and by tensor name; no moments before the first step."""

    weights: Mapping[str, torch.Tensor]
    first_moments: Mapping[str, torch.Tensor] = field(default_factory=dict)
    second_moments: Mapping[str, torch.Tensor] = field(default_factory=dict)


def save(cache: str, training_id: str, record: TrainingRecord, tensors: TrainingTensors) -> None:
    """Replaces what was saved of this training. Raises OSError."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = training_file(cache, training_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    by_kind = zip(_KINDS, (tensors.weights, tensors.first_moments, tensors.second_moments), strict=True)
    flat = {f"{kind}:{name}": t.detach().contiguous() for kind, named in by_kind for name, t in named.items()}
    try:
        save_file(flat, partial, metadata={RECORD: to_json(record)})
    except SafetensorError as error:  # how it says that the disk is full
        raise OSError(str(error)) from error
    partial.replace(path)


def load(cache: str, training_id: str, identity: TrainingIdentity) -> tuple[TrainingRecord, TrainingTensors]:
    """What was saved of a training. Raises UserError where there is nothing, it is damaged, or it is another one."""
    from safetensors import SafetensorError, safe_open

    path = training_file(cache, training_id)
    if not path.is_file():
        raise UserError(
            f"There is no stopped training {training_id}.",
            hint="It has finished, the cache was emptied, or it was stopped before its first save.",
        )
    try:
        with safe_open(path, "pt") as file:
            record = from_json((file.metadata() or {}).get(RECORD, ""), TrainingRecord)
            flat = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a mapping)
    except (OSError, ValueError, SafetensorError) as error:
        raise UserError(
            f"The saved training {training_id} is damaged.", hint="Start the training anew.", details=str(error)
        ) from None
    if record.identity != identity:
        raise UserError(
            f"The training {training_id} was made with another model, recipe, text or settings.",
            hint="Go on with the settings it was started with, or start anew.",
        )
    by_kind = ({k.partition(":")[2]: t for k, t in flat.items() if k.startswith(f"{kind}:")} for kind in _KINDS)
    return record, TrainingTensors(*by_kind)


def remove(cache: str, training_id: str) -> None:
    """Forgets a training that has been converted."""
    if cache:
        Path(training_file(cache, training_id)).unlink(missing_ok=True)
