"""What follows from an estimate of memory: how fast the row is, and what it costs in quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quantgui.fit.quality_loss import quality_loss
from quantgui.fit.settings import FitSettings
from quantgui.fit.speed import speed_of
from quantgui.fit.weights import WeightBytes, active_bytes
from quantgui.types import HardwareTarget, MemoryEstimate, MemoryKind, ModelConfig, SpeedEstimate, Verdict


def completed(
    estimate: MemoryEstimate,
    weights: WeightBytes,
    hardware: HardwareTarget,
    settings: FitSettings,
    published_as: str = "",
) -> MemoryEstimate:
    """The estimate with its speed and its expected quality loss; each None where it is not known."""
    quality = quality_loss(
        estimate.scheme_id, estimate.bits_per_weight, weights.parameters, settings.imatrix, published_as
    )
    return replace(estimate, speed=_speed(estimate, weights, hardware, settings), quality=quality)


def published_as(config: ModelConfig | None) -> str:
    """The config's quant_method, "" where it states none."""
    stated = config.raw.get("quantization_config") if config is not None else None
    method = stated.get("quant_method") if isinstance(stated, Mapping) else None
    return method if isinstance(method, str) else ""


def _speed(
    estimate: MemoryEstimate, weights: WeightBytes, hardware: HardwareTarget, settings: FitSettings
) -> SpeedEstimate | None:
    """Speed with half of one sequence's context in the cache; None for what does not run or generate.

    Encoders, which keep no cache, generate nothing.
    """
    cache = estimate.part(MemoryKind.KV_CACHE)
    if estimate.verdict is Verdict.TOO_LARGE or not estimate.bits_per_weight or cache == 0:
        return None
    active = active_bytes(weights)
    split = weights.split
    return speed_of(
        active,
        (cache or 0) // (settings.batch * settings.slots),
        estimate.bits_per_weight,
        split.expert_share < 1,
        estimate.placement,
        hardware,
        round(8 * active / estimate.bits_per_weight),
        settings.context // (2 * settings.slots),
        runtime=estimate.runtime,
        layers=len(split.layer_bytes),
        active_expert_bytes=round(split.expert_share * sum(split.expert_layer_bytes)),
        expert_layer_bytes=split.expert_layer_bytes,
    )
