"""What a family of architectures states about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quantgui.checkpoint.architectures._keys import Keys

Shapes = Iterator[tuple[str, tuple[int, ...]]]
"""Pairs of tensor name and shape; linear weights are [outputs, inputs]."""


@dataclass(frozen=True, slots=True)
class AttentionLayer:
    """Elements one layer keeps per token and sequence, and how many of the last tokens it keeps (None: all)."""

    elements_per_token: int
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """Architectures that store their weights by one rule."""

    model_types: tuple[str, ...]  # `model_type` of config.json
    tensors: Callable[[Keys], Shapes]
    attention: Callable[[Keys], tuple[AttentionLayer, ...] | None]
