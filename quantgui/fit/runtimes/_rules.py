"""What a runtime's file states about itself: how it keeps the cache, which buffers it needs, what it holds beside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from quantgui.fit.model_facts import ModelFacts
from quantgui.fit.settings import FitSettings
from quantgui.fit.weights import WeightBytes
from quantgui.types import MemoryKind, MemoryPart, Provenance, Runtime

MIB = 2**20
SIXTEEN_BITS = 2
"""Bytes of an activation."""
NOT_KNOWN = "The compute buffers are not estimated: the config does not state the model's widths."


class SiteKind(StrEnum):
    """What computes."""

    CUDA = "cuda"  # dedicated GPUs
    METAL = "metal"  # the GPU of an Apple computer, or another that shares the RAM
    CPU = "cpu"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a model runs: on so many devices of one kind."""

    kind: SiteKind
    devices: int = 1

    @property
    def has_gpu(self) -> bool:
        """Whether a GPU computes."""
        return self.kind is not SiteKind.CPU


class Rules(Protocol):
    """One runtime. Every number is bytes over all devices of the site; notes are the rule in one short sentence."""

    @property
    def runtime(self) -> Runtime:
        """Its name."""
        ...

    @property
    def splits_tensors(self) -> bool:
        """Whether several GPUs each hold an equal share of every tensor, instead of whole layers."""
        ...

    @property
    def can_offload(self) -> bool:
        """Whether layers that do not fit the GPU may stay in RAM."""
        ...

    def can_share(self, model: ModelFacts, devices: int) -> bool:
        """Whether so many GPUs can work on this model together."""
        ...

    def kv_dtype(self, asked: str) -> str:
        """The type of cache that stands for `asked`, which this runtime may not have."""
        ...

    def kv_cache(self, model: ModelFacts, settings: FitSettings) -> MemoryPart:
        """What is kept of all tokens of all sequences. `model.cache` must be known."""
        ...

    def compute(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """Activations and scratch buffers; `nbytes` None where the model's widths are not known."""
        ...

    def overhead(self, model: ModelFacts, settings: FitSettings, site: Site) -> MemoryPart:
        """What the program and the driver hold, `host_buffers` included."""
        ...

    def host_weights(self, weights: WeightBytes) -> int:
        """Bytes of the weights that stay in RAM even where a dedicated GPU computes."""
        ...

    def host_buffers(self, model: ModelFacts, settings: FitSettings) -> int:
        """Bytes of buffers that lie in RAM wherever the model computes."""
        ...

    def comfortable(self, capacity: int) -> int:
        """How much of a memory of `capacity` bytes may be used so that the model is said to fit."""
        ...


def derived(kind: MemoryKind, nbytes: int, note: str) -> MemoryPart:
    """A part that follows exactly from the model and the runtime's rule."""
    return MemoryPart(kind, nbytes, Provenance.DERIVED, note)


def estimated(kind: MemoryKind, nbytes: float, low: float, high: float, note: str) -> MemoryPart:
    """A part that is modelled, with its band."""
    middle = round(nbytes)
    return MemoryPart(kind, middle, Provenance.ESTIMATED, note, min(middle, round(low)), max(middle, round(high)))


def not_known() -> MemoryPart:
    """The compute part of a model whose widths are not known."""
    return MemoryPart(MemoryKind.COMPUTE, None, Provenance.ESTIMATED, NOT_KNOWN)


def padded(number: int, step: int) -> int:
    """Rounded up to a multiple of `step`."""
    return -(-number // step) * step
