"""Opens the source of a job in the child, pickled PyTorch files included."""

from __future__ import annotations

from pathlib import Path

from quantgui.checkpoint import ChildNeeded
from quantgui.checkpoint.resolve import resolve
from quantgui.checkpoint.torch_file import open_torch
from quantgui.types import Checkpoint


def open_source(reference: str) -> Checkpoint:
    """The checkpoint of a path, "demo" or a catalogue id. Raises UserError."""
    try:
        return resolve(reference)
    except ChildNeeded as needed:
        return open_torch(Path(needed.path))


def source_folder(checkpoint: Checkpoint) -> Path:
    """The folder that holds the config and tokenizer of a checkpoint on disk."""
    path = Path(checkpoint.path)
    return path if path.is_dir() else path.parent
