"""Every precision on one hardware target: its memory part by part, where it lies, the verdict, and what follows.

Pure, and fast enough to follow a slider. What depends on the model alone is remembered per checkpoint; what depends on
the usage alone is worked out once per runtime; what is left per row is a sum, a comparison and two sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from quantgui.fit.completion import completed
from quantgui.fit.demand import Demand
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.fit.model_facts import facts_of
from quantgui.fit.placement import describe, place
from quantgui.fit.settings import FitSettings
from quantgui.fit.situation import Situation, situation_of
from quantgui.fit.verdict import Placed, explain
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
    gguf_weights(checkpoint)
    facts_of(checkpoint)


def estimate_table(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings | None = None
) -> tuple[MemoryEstimate, ...]:
    """Every row there is: the registry's in its order, then GGUF's by size.

    `settings.runtime` keeps the rows that this program can load and estimates them in it; None estimates each in the
    program that its files are made for. Raises UserError where the hardware's memory is not known.
    """
    settings = settings or FitSettings()
    estimates: list[MemoryEstimate] = []
    for runtime, weights in _tables(checkpoint, settings):
        estimates += _estimates(checkpoint, weights, runtime, hardware, settings)
    return tuple(estimates)


def estimate_all(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings | None = None
) -> tuple[MemoryEstimate, ...]:
    """One estimate per row of the registry, in its order; of an already quantized checkpoint one for it as it is."""
    settings = settings or FitSettings()
    runtime = _hub_runtime(settings)
    return tuple(_estimates(checkpoint, weights_per_row(checkpoint), runtime, hardware, settings))


def estimate_gguf(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings | None = None, imatrix: bool = False
) -> tuple[MemoryEstimate, ...]:
    """One estimate per GGUF file type, largest first; empty where llama.cpp's names for the model are not known."""
    settings = settings or FitSettings()
    weights = gguf_weights(checkpoint, imatrix or settings.imatrix)
    return tuple(_estimates(checkpoint, weights, Runtime.LLAMA_CPP, hardware, settings))


def estimate_recipe(
    checkpoint: Checkpoint, recipe: Recipe, hardware: HardwareTarget, settings: FitSettings | None = None
) -> MemoryEstimate:
    """The estimate of one recipe, with the plain rows as alternatives. Raises UserError for unknown schemes."""
    settings = settings or FitSettings()
    situation = situation_of(checkpoint, _hub_runtime(settings), hardware, settings)
    weights = recipe_weights(checkpoint, recipe)
    others = [_placed(row, situation) for row in weights_per_row(checkpoint)]
    return completed(_estimate(_placed(weights, situation), others, situation), weights, hardware, settings)


def _hub_runtime(settings: FitSettings) -> Runtime:
    """What loads Hugging Face folders, unless vLLM is asked for."""
    return Runtime.VLLM if settings.runtime is Runtime.VLLM else Runtime.TRANSFORMERS


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


def _estimates(
    checkpoint: Checkpoint,
    weights: Sequence[WeightBytes],
    runtime: Runtime,
    hardware: HardwareTarget,
    settings: FitSettings,
) -> list[MemoryEstimate]:
    situation = situation_of(checkpoint, runtime, hardware, settings)
    placed = [_placed(row, situation) for row in weights]
    return [completed(_estimate(row, placed, situation), row.weights, hardware, settings) for row in placed]


def _placed(weights: WeightBytes, situation: Situation) -> Placed:
    return Placed(weights, place(weights, situation.demand, situation.budget))


def _estimate(row: Placed, others: Sequence[Placed], situation: Situation) -> MemoryEstimate:
    weights, outcome, demand = row.weights, row.outcome, situation.demand
    parts = (
        MemoryPart(MemoryKind.WEIGHTS, weights.nbytes, Provenance.DERIVED, weights.note),
        _with_trained_context(outcome.load.kv_cache, demand),
        outcome.load.compute,
        outcome.load.overhead,
    )
    return MemoryEstimate(
        scheme_id=weights.scheme_id,
        bits_per_weight=weights.bits_per_weight,
        parts=parts,
        file_bytes=weights.file_bytes,
        verdict=outcome.verdict,
        reason=explain(row, others, situation),
        runtime=demand.rules.runtime,
        placement=describe(outcome, weights, demand, situation.budget),
        longest_context=situation.longest.context(weights),
    )


def _with_trained_context(part: MemoryPart, demand: Demand) -> MemoryPart:
    trained = demand.model.trained_context
    if trained is None or demand.settings.context <= trained:
        return part
    note = f"{part.note} The model was made for {count(trained)} tokens.".strip()
    return MemoryPart(part.kind, part.nbytes, part.provenance, note, part.low, part.high)
