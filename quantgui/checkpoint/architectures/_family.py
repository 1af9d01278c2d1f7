"""What a family of architectures states about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from quantgui.checkpoint.architectures._keys import Keys

Shapes = Iterator[tuple[str, tuple[int, ...]]]
"""Pairs of tensor name and shape; linear weights are [outputs, inputs]."""


@dataclass(frozen=True, slots=True)
class AttentionLayer:
    """Elements one layer keeps per token and sequence, and how many of the last tokens it keeps (None: all).

    Layers that reuse another layer's keys and values, and layers without attention, are not listed at all.
    """

    elements_per_token: int
    window: int | None = None
    index_elements: int = 0  # kept beside, per token, by sparse attention's index; runtimes differ in its dtype
    of_encoder: bool = False  # the tokens are those that an encoder has read, not those of the decoder


@dataclass(frozen=True, slots=True)
class StateLayer:
    """Elements one state-space or linear-attention layer keeps per sequence, however long it is.

    `convolution` holds the inputs still inside the short convolution, `recurrent` the state itself. llama.cpp keeps
    both in float32; others keep the first in the model's dtype.
    """

    convolution: int
    recurrent: int

    @property
    def elements(self) -> int:
        """Both together."""
        return self.convolution + self.recurrent


def _no_tensors(keys: Keys) -> Shapes:
    return iter(())


def _no_state(keys: Keys) -> tuple[StateLayer, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Family:
    """Architectures that store their weights by one rule."""

    model_types: tuple[str, ...]  # `model_type` of config.json
    tensors: Callable[[Keys], Shapes]
    attention: Callable[[Keys], tuple[AttentionLayer, ...] | None]
    state: Callable[[Keys], tuple[StateLayer, ...]] = _no_state
    extras: Callable[[Keys], Shapes] = _no_tensors  # stored but not part of the language model: towers, MTP layers
