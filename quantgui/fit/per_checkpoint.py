"""Remembers what was computed for the last few checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from quantgui.types import Checkpoint

REMEMBERED = 4

T = TypeVar("T")


def per_checkpoint(function: Callable[[Checkpoint], T]) -> Callable[[Checkpoint], T]:
    """Remembers the results for the last few checkpoints, by identity: hashing a model's tensors would take longer."""
    remembered: dict[int, tuple[Checkpoint, T]] = {}

    @wraps(function)
    def cached(checkpoint: Checkpoint) -> T:
        if id(checkpoint) not in remembered:
            if len(remembered) >= REMEMBERED:
                remembered.pop(next(iter(remembered)), None)  # two threads may meet here
            remembered[id(checkpoint)] = (checkpoint, function(checkpoint))  # holding it keeps its id from being reused
        return remembered[id(checkpoint)][1]

    return cached
