"""Folder, file, cache or catalogue -> Checkpoint, from headers and config only; weights are never loaded to answer."""

from quantgui.checkpoint.child_needed import ChildNeeded
from quantgui.checkpoint.opening import open_checkpoint

__all__ = ["ChildNeeded", "open_checkpoint"]
