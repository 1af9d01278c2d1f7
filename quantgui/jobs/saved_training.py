"""Where a training that was stopped waits, known to the child that writes it and to those who offer to go on."""

from __future__ import annotations

from pathlib import Path


def training_file(cache: str | Path, training_id: str) -> Path:
    """The file of the training that the job `training_id` began, below the cache folder."""
    return Path(cache) / "training" / f"{training_id}.safetensors"
