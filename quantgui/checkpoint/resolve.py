"""What a person calls a model -> Checkpoint: "demo", a path, a model in the hub's cache, or an id of the catalogue."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from quantgui.checkpoint.catalogue import find_entry
from quantgui.checkpoint.hub_cache import find_cached
from quantgui.checkpoint.local_stores import stored_name
from quantgui.checkpoint.opening import open_checkpoint
from quantgui.resource_files import resource
from quantgui.types import Checkpoint, UserError

DEMO = "demo"
_MODEL_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt", ".pth", ".json")


def resolve(reference: str) -> Checkpoint:
    """The model that `reference` means. A model downloaded to the hub's cache goes before the catalogue's shapes.

    Raises ChildNeeded for pickled weights, and UserError with near matches where nothing goes by that name.
    """
    if reference == DEMO:
        return demo_checkpoint()
    if _exists(reference) or _looks_like_path(reference) or not reference.strip():
        checkpoint = open_checkpoint(reference)
        return replace(checkpoint, name=stored_name(checkpoint.path) or checkpoint.name)
    cached = find_cached(reference)
    if cached is not None:
        return open_checkpoint(cached.path)
    return find_entry(reference).checkpoint()


def demo_checkpoint() -> Checkpoint:
    """The bundled model. Raises UserError where the installation lacks it."""
    folder = resource("demo_model")
    if not folder.is_dir():
        raise UserError("The bundled model is missing from this installation.", hint="Install QuantGUI again.")
    return replace(open_checkpoint(folder), name=DEMO)


def _exists(reference: str) -> bool:
    try:
        return os.path.lexists(Path(reference).expanduser())
    except (OSError, ValueError, RuntimeError):
        return False


def _looks_like_path(reference: str) -> bool:
    """Whether the person means a file, so that "there is nothing" is the better answer than a list of models."""
    starts = (".", "~", "/", "\\")
    return "\0" in reference or reference.startswith(starts) or reference.lower().endswith(_MODEL_SUFFIXES)
