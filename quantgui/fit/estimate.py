"""Every precision on one hardware target: its memory part by part, where it lies, the verdict, and what follows.

Pure, and fast enough to follow a slider. What depends on the model alone is remembered per checkpoint; what depends on
the usage alone is worked out once per runtime; what is left per row is a sum, a comparison and two sentences.
"""

from __future__ import annotations

from collections.abc import Sequence

from quantgui.fit.completion import completed, published_as
from quantgui.fit.corrections import Corrections
from quantgui.fit.demand import Demand
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.fit.model_facts import facts_of
from quantgui.fit.per_checkpoint import per_checkpoint
from quantgui.fit.placement import describe, place
from quantgui.fit.published_weights import published_weights
from quantgui.fit.reference_rows import reference_weights
from quantgui.fit.settings import FitSettings
from quantgui.fit.situation import Situation, situation_of
from quantgui.fit.verdict import Placed, explain
from quantgui.fit.weights import STORED, WeightBytes, recipe_weights, weights_per_row
from quantgui.quant.registry import row as registry_row
from quantgui.schemes.recipe import Recipe
from quantgui.types import (
    Checkpoint,
    HardwareTarget,
    MemoryEstimate,
    MemoryKind,
    MemoryPart,
    Provenance,
    Runtime,
    SourceKind,
    UserError,
)
from quantgui.units import count


def prepare(checkpoint: Checkpoint) -> None:
    """Computes and remembers what depends on the model alone: 0.1 s for a few hundred tensors, seconds for 40,000.

    A window calls it in the background when a model is opened; every estimate after that is immediate.
    """
    _hub_weights(checkpoint)
    reference_weights(checkpoint, Runtime.MLX)
    gguf_weights(checkpoint)
    facts_of(checkpoint)


def estimate_table(
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings | None = None,
    corrections: Corrections | None = None,
) -> tuple[MemoryEstimate, ...]:
    """Every row there is: the registry's in its order, what other tools write, then GGUF's by size.

    `settings.runtime` keeps the rows that this program can load and estimates them in it; None estimates each in the
    program that its files are made for, where it runs on this hardware. Raises UserError where the hardware's memory is
    not known, and where the runtime does not run on it at all. `corrections` are what real runs taught.
    """
    settings = settings or FitSettings()
    whole = settings.runtime is None and checkpoint.kind is not SourceKind.GGUF
    estimates = list(estimate_all(checkpoint, hardware, settings, corrections)) if whole else []
    for runtime, weights in _tables(checkpoint, hardware, settings):
        estimates += _estimates(checkpoint, weights, runtime, hardware, settings, corrections)
    return tuple(estimates)


def estimate_all(
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings | None = None,
    corrections: Corrections | None = None,
) -> tuple[MemoryEstimate, ...]:
    """One estimate per row of the registry, in its order; of an already quantized checkpoint one for it as it is.

    Of a config that describes a quantized repository first that repository's own.
    """
    settings = settings or FitSettings()
    weights = _hub_weights(checkpoint)
    estimates: dict[str, MemoryEstimate] = {}
    for runtime, some in _by_runtime(weights, checkpoint, hardware, settings):
        estimates |= {e.scheme_id: e for e in _estimates(checkpoint, some, runtime, hardware, settings, corrections)}
    return tuple(estimates[row.scheme_id] for row in weights)


def estimate_gguf(
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings | None = None,
    imatrix: bool = False,
    corrections: Corrections | None = None,
) -> tuple[MemoryEstimate, ...]:
    """One estimate per GGUF file type, largest first; empty where llama.cpp's names for the model are not known."""
    settings = settings or FitSettings()
    weights = gguf_weights(checkpoint, imatrix or settings.imatrix)
    return tuple(_estimates(checkpoint, weights, Runtime.LLAMA_CPP, hardware, settings, corrections))


def estimate_recipe(
    checkpoint: Checkpoint, recipe: Recipe, hardware: HardwareTarget, settings: FitSettings | None = None
) -> MemoryEstimate:
    """The estimate of one recipe, with the plain rows as alternatives. Raises UserError for unknown schemes."""
    settings = settings or FitSettings()
    weights = recipe_weights(checkpoint, recipe)
    situation = situation_of(checkpoint, _runtime_of(weights, checkpoint, hardware, settings), hardware, settings)
    others = [_placed(row, situation) for row in weights_per_row(checkpoint)]
    return completed(_estimate(_placed(weights, situation), others, situation), weights, hardware, settings)


def _runtime_of(
    weights: WeightBytes, checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings
) -> Runtime:
    """What a row of the checkpoint's own kind of files is estimated in.

    Unless a program is asked for: of GGUF llama.cpp; vLLM for what transformers would unpack, where it runs; else
    transformers.
    """
    if checkpoint.kind is SourceKind.GGUF:
        return Runtime.LLAMA_CPP
    if settings.runtime is not None:
        return Runtime.VLLM if settings.runtime is Runtime.VLLM else Runtime.TRANSFORMERS
    served = bool(hardware.accelerators) and not _is_apple(hardware)
    return Runtime.VLLM if served and weights.unpacked is not None else Runtime.TRANSFORMERS


def _by_runtime(
    weights: Sequence[WeightBytes], checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings
) -> list[tuple[Runtime, list[WeightBytes]]]:
    """The rows of the checkpoint's own kind of files by the program they are estimated in."""
    groups: dict[Runtime, list[WeightBytes]] = {}
    for row in weights:
        groups.setdefault(_runtime_of(row, checkpoint, hardware, settings), []).append(row)
    return list(groups.items())


def _is_apple(hardware: HardwareTarget) -> bool:
    return any(gpu.vendor == "Apple" for gpu in hardware.accelerators)


@per_checkpoint
def _hub_weights(checkpoint: Checkpoint) -> tuple[WeightBytes, ...]:
    """The registry's rows; before them, of a config that describes a quantized repository, what is published."""
    published = published_weights(checkpoint)
    return (*((published,) if published else ()), *weights_per_row(checkpoint))


def _tables(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings
) -> list[tuple[Runtime, tuple[WeightBytes, ...]]]:
    """The rows by the program they are estimated in; without a program those beside `estimate_all`."""
    chosen, is_apple = settings.runtime, _is_apple(hardware)
    if chosen is Runtime.MLX and not is_apple:
        raise UserError("MLX runs on Apple computers only.", hint="Choose an Apple device, or another runtime.")
    if checkpoint.kind is SourceKind.GGUF:
        if chosen not in (None, Runtime.LLAMA_CPP):
            raise UserError("A GGUF file runs in llama.cpp.", hint="Choose llama.cpp, or open the original model.")
        made = gguf_weights(checkpoint, settings.imatrix)  # of a file of floats; a quantized one stays as it is
        return [(Runtime.LLAMA_CPP, made or weights_per_row(checkpoint))]
    if chosen is None:
        beside = Runtime.MLX if is_apple else Runtime.VLLM
        return [
            *([(beside, reference_weights(checkpoint, beside))] if hardware.accelerators else []),
            (Runtime.LLAMA_CPP, gguf_weights(checkpoint, settings.imatrix)),
        ]
    if chosen is Runtime.LLAMA_CPP:
        return [(chosen, gguf_weights(checkpoint, settings.imatrix))]
    loaded = tuple(row for row in _hub_weights(checkpoint) if _can_load(chosen, row.scheme_id))
    return [(chosen, (*loaded, *reference_weights(checkpoint, chosen)))]


def _can_load(runtime: Runtime, scheme_id: str) -> bool:
    """Whether a runtime loads a row of Hugging Face folders. MLX converts from 16 bits."""
    if runtime is Runtime.TRANSFORMERS or scheme_id == STORED:
        return True
    if runtime is Runtime.MLX:
        return scheme_id in ("BF16", "FP16")
    return any(name.lower() == runtime.value for name in registry_row(scheme_id).runtimes)


def _estimates(
    checkpoint: Checkpoint,
    weights: Sequence[WeightBytes],
    runtime: Runtime,
    hardware: HardwareTarget,
    settings: FitSettings,
    corrections: Corrections | None = None,
) -> list[MemoryEstimate]:
    situation = situation_of(checkpoint, runtime, hardware, settings, corrections)
    placed = [_placed(row, situation) for row in weights]
    packed = published_as(checkpoint.config)
    return [completed(_estimate(row, placed, situation), row.weights, hardware, settings, packed) for row in placed]


def _placed(weights: WeightBytes, situation: Situation) -> Placed:
    if situation.demand.rules.runtime is Runtime.TRANSFORMERS and weights.unpacked is not None:
        weights = weights.unpacked
    return Placed(weights, place(weights, situation.demand, situation.budget))


def _estimate(row: Placed, others: Sequence[Placed], situation: Situation) -> MemoryEstimate:
    weights, outcome, demand = row.weights, row.outcome, situation.demand
    parts = (
        MemoryPart(MemoryKind.WEIGHTS, weights.stored_bytes, Provenance.DERIVED, weights.note),
        _with_trained_context(outcome.load.kv_cache, demand),
        outcome.load.compute,
        *_unpacking(weights),
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


def _unpacking(weights: WeightBytes) -> tuple[MemoryPart, ...]:
    """What memory holds beyond the file."""
    more = weights.nbytes - weights.stored_bytes
    note = "transformers makes these weights dense when it first computes; vLLM computes with the packed ones."
    return (MemoryPart(MemoryKind.COMPUTE, more, Provenance.DERIVED, note),) if more > 0 else ()


def _with_trained_context(part: MemoryPart, demand: Demand) -> MemoryPart:
    trained = demand.model.trained_context
    if trained is None or demand.settings.context <= trained:
        return part
    note = f"{part.note} The model was made for {count(trained)} tokens.".strip()
    return MemoryPart(part.kind, part.nbytes, part.provenance, note, part.low, part.high)
