"""What a calibrated run leaves for its check: logits of the simulated model, and what was folded into its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.quant.calibrated import Fold

if TYPE_CHECKING:
    import torch

SIMULATION_NAME = ".simulation"
"""In the partial output while it is checked; not part of the result."""
_LOGITS_TOKENS = 256


@dataclass(frozen=True)
class Simulation:
    """`logits` float32 [length, vocabulary] of the model as it was written, for the token ids int64 [length]."""

    ids: torch.Tensor
    logits: torch.Tensor
    folds: Mapping[str, Fold] = field(default_factory=dict)  # by tensor name

    def save(self, folder: Path) -> None:
        """Writes it beside the weights; of the logits the first tokens'."""
        from safetensors.torch import save_file

        tensors = {"ids": self.ids, "logits": self.logits[:_LOGITS_TOKENS].contiguous()}
        for name, fold in self.folds.items():
            if fold.rows is not None:
                tensors[f"rows {name}"] = fold.rows.cpu().clone()
            if fold.columns is not None:
                tensors[f"columns {name}"] = fold.columns.cpu().clone()  # linears that share inputs share it
        offsets = {name: str(fold.offset) for name, fold in self.folds.items()}
        save_file(tensors, folder / SIMULATION_NAME, offsets)


def load_simulation(folder: Path) -> Simulation | None:
    """What `save` wrote, None where nothing was calibrated."""
    from safetensors import safe_open

    path = folder / SIMULATION_NAME
    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        folds = {
            name: Fold(tensors.get(f"rows {name}"), tensors.get(f"columns {name}"), float(offset))
            for name, offset in (file.metadata() or {}).items()
        }
    return Simulation(tensors["ids"], tensors["logits"], folds)
