"""Every precision on one hardware target: weights, KV cache, verdict. Pure, and fast enough to follow a slider.

Activations and the runtime's own overhead are not estimated yet and stay None. What depends on the model alone is
remembered per checkpoint, so a change of context, batch or hardware costs one short pass over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quantgui.fit.budget import Budget, budget_of
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.fit.kv_cache import KvCache, kv_cache
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.fit.settings import FitSettings
from quantgui.fit.verdict import Need, explain
from quantgui.fit.weights import WeightBytes, recipe_weights, weights_per_row
from quantgui.quant.registry import rows as registry_rows
from quantgui.schemes.recipe import Recipe
from quantgui.types import (
    Checkpoint,
    HardwareTarget,
    MemoryEstimate,
    MemoryKind,
    MemoryPart,
    Provenance,
    Runtime,
)
from quantgui.units import count


def prepare(checkpoint: Checkpoint) -> None:
    """Computes and remembers what depends on the model alone: 0.1 s for a few hundred tensors, seconds for 40,000.

    A window calls it in the background when a model is opened; every estimate after that is immediate.
    """
    weights_per_row(checkpoint)
    _cache_of(checkpoint)


def estimate_all(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings | None = None
) -> tuple[MemoryEstimate, ...]:
    """One estimate per row of the registry, in its order; of an already quantized checkpoint one for it as it is."""
    settings = settings or FitSettings()
    needs = _needs(checkpoint, weights_per_row(checkpoint), settings)
    budget = budget_of(hardware)
    return tuple(_estimate(checkpoint, need, needs, budget, settings) for need in needs)


def estimate_gguf(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings | None = None, imatrix: bool = False
) -> tuple[MemoryEstimate, ...]:
    """One estimate per GGUF file type, largest first; empty where llama.cpp's names for the model are not known."""
    settings = settings or FitSettings()
    needs = _needs(checkpoint, gguf_weights(checkpoint, imatrix), settings)
    budget = budget_of(hardware)
    return tuple(_estimate(checkpoint, need, needs, budget, settings) for need in needs)


def estimate_recipe(
    checkpoint: Checkpoint, recipe: Recipe, hardware: HardwareTarget, settings: FitSettings | None = None
) -> MemoryEstimate:
    """The estimate of one recipe, with the plain rows as alternatives. Raises UserError for unknown schemes."""
    settings = settings or FitSettings()
    (need,) = _needs(checkpoint, (recipe_weights(checkpoint, recipe),), settings)
    others = _needs(checkpoint, weights_per_row(checkpoint), settings)
    return _estimate(checkpoint, need, others, budget_of(hardware), settings)


def estimate_table(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings | None = None
) -> tuple[MemoryEstimate, ...]:
    """Every row there is: the registry's in its order, then GGUF's by size.

    `settings.runtime` keeps the rows that this program can load and estimates them in it; None estimates each in the
    program that its files are made for. Raises UserError where the hardware's memory is not known.
    """
    settings = settings or FitSettings()
    budget = budget_of(hardware)
    estimates: list[MemoryEstimate] = []
    for runtime, weights in _tables(checkpoint, settings):
        needs = _needs(checkpoint, weights, settings)
        estimates += [
            _complete(replace(_estimate(checkpoint, need, needs, budget, settings), runtime=runtime)) for need in needs
        ]
    return tuple(estimates)


def _tables(checkpoint: Checkpoint, settings: FitSettings) -> list[tuple[Runtime, tuple[WeightBytes, ...]]]:
    """The rows by the program they are estimated in."""
    chosen = settings.runtime
    tables = []
    hub = weights_per_row(checkpoint)
    if chosen in (None, Runtime.TRANSFORMERS):
        tables.append((Runtime.TRANSFORMERS, hub))
    if chosen is Runtime.VLLM:
        loaded = {row.id for row in registry_rows() if "vLLM" in row.runtimes}
        tables.append((Runtime.VLLM, tuple(row for row in hub if row.scheme_id in loaded)))
    if chosen in (None, Runtime.LLAMA_CPP):
        tables.append((Runtime.LLAMA_CPP, gguf_weights(checkpoint, settings.imatrix)))
    return tables


def _complete(estimate: MemoryEstimate) -> MemoryEstimate:
    """An estimate of memory with what follows from it: speed and quality."""
    return estimate


@per_checkpoint
def _cache_of(checkpoint: Checkpoint) -> tuple[KvCache | None, str]:
    return kv_cache(checkpoint.config)


def _needs(checkpoint: Checkpoint, weights: Sequence[WeightBytes], settings: FitSettings) -> list[Need]:
    cache, _ = _cache_of(checkpoint)
    kv_bytes = None if cache is None else cache.nbytes(settings)
    return [Need(row, kv_bytes, cache) for row in weights]


def _estimate(
    checkpoint: Checkpoint, need: Need, others: Sequence[Need], budget: Budget, settings: FitSettings
) -> MemoryEstimate:
    verdict, reason = explain(need, others, budget, settings)
    parts = (
        MemoryPart(MemoryKind.WEIGHTS, need.weights.nbytes, Provenance.DERIVED, need.weights.note),
        MemoryPart(MemoryKind.KV_CACHE, need.kv_bytes, Provenance.DERIVED, _cache_note(checkpoint, settings)),
        MemoryPart(MemoryKind.COMPUTE, None, Provenance.ESTIMATED, "Not estimated yet."),
        MemoryPart(MemoryKind.OVERHEAD, None, Provenance.ESTIMATED, "Not estimated yet."),
    )
    return MemoryEstimate(
        need.weights.scheme_id, need.weights.bits_per_weight, parts, need.weights.file_bytes, verdict, reason
    )


def _cache_note(checkpoint: Checkpoint, settings: FitSettings) -> str:
    note = _cache_of(checkpoint)[1]
    trained = checkpoint.config.context_length if checkpoint.config else None
    if trained is not None and settings.context > trained:
        note = f"{note} The model was made for {count(trained)} tokens.".strip()
    return note
