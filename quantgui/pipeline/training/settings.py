"""What a training is asked to do: the trained rows' parameters, by name and type."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.quant.registry import settings
from quantgui.schemes.recipe import SchemeSpec


@dataclass(frozen=True)
class TrainingSettings:
    """One training. `text` "" is the bundled training text; `context` and `batch` count tokens and sequences."""

    steps: int
    learning_rate: float
    batch: int
    context: int
    distill: bool
    seed: int
    text: str = ""

    @classmethod
    def of(cls, spec: SchemeSpec) -> TrainingSettings:
        """The settings of a trained row's spec. Raises UserError for bad values."""
        values = settings(spec)
        return cls(
            steps=int(values["steps"]),
            learning_rate=float(values["learning_rate"]),
            batch=int(values["batch"]),
            context=int(values["context"]),
            distill=bool(values["distill"]),
            seed=int(values["seed"]),
            text=str(values["calibration"]),
        )
