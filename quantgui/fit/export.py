"""Estimates as JSON-able dicts and as CSV: the one place that says how a row is written down.

Sizes are bytes, times seconds. What is not estimated is None (an empty cell in CSV), never 0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from quantgui.types import MemoryEstimate, MemoryKind, MemoryPart, Placement, QualityLoss, SpeedEstimate

CSV_COLUMNS = (
    "id",
    "runtime",
    "bits_per_weight",
    "weights_bytes",
    "kv_cache_bytes",
    "compute_bytes",
    "overhead_bytes",
    "total_bytes",
    "total_low_bytes",
    "total_high_bytes",
    "file_bytes",
    "verdict",
    "longest_context",
    "tokens_per_second",
    "tokens_per_second_low",
    "tokens_per_second_high",
    "first_token_seconds",
    "perplexity_ratio",
    "quality",
    "quality_source",
    "reason",
    "command",
)


def estimate_json(estimate: MemoryEstimate, command: str = "") -> dict[str, Any]:
    """One row with every part's provenance and band. `command` is the line that runs it, where one was asked for."""
    low, high = estimate.band
    return {
        "id": estimate.scheme_id,
        "runtime": estimate.runtime.value,
        "bits_per_weight": estimate.bits_per_weight or None,
        **{f"{kind.value}_bytes": estimate.part(kind) for kind in MemoryKind},
        "total_bytes": estimate.total_bytes,
        "total_low_bytes": low,
        "total_high_bytes": high,
        "file_bytes": estimate.file_bytes,
        "verdict": estimate.verdict.value,
        "reason": estimate.reason,
        "longest_context": estimate.longest_context,
        "parts": [_part(part) for part in estimate.parts],
        "placement": _placement(estimate.placement),
        "speed": _speed(estimate.speed),
        "quality": _quality(estimate.quality),
        "command": command or None,
    }


def estimates_csv(estimates: Sequence[MemoryEstimate], commands: Mapping[str, str] | None = None) -> str:
    """A table for spreadsheets: one line per estimate under `CSV_COLUMNS`. `commands` by scheme id."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for estimate in estimates:
        row = estimate_json(estimate, (commands or {}).get(estimate.scheme_id, ""))
        speed, quality = row["speed"] or {}, row["quality"] or {}
        row |= {
            "tokens_per_second": speed.get("tokens_per_second"),
            "tokens_per_second_low": speed.get("low"),
            "tokens_per_second_high": speed.get("high"),
            "first_token_seconds": speed.get("first_token_seconds"),
            "perplexity_ratio": quality.get("perplexity_ratio"),
            "quality": quality.get("words"),
            "quality_source": quality.get("source"),
        }
        writer.writerow({column: row[column] for column in CSV_COLUMNS})
    return text.getvalue()


def _part(part: MemoryPart) -> dict[str, Any]:
    exact = part.low is None and part.high is None
    return {
        "kind": part.kind.value,
        "bytes": part.nbytes,
        "low_bytes": part.nbytes if exact else part.low,
        "high_bytes": part.nbytes if exact else part.high,
        "provenance": part.provenance.value,
        "note": part.note or None,
    }


def _placement(placement: Placement | None) -> dict[str, Any] | None:
    if placement is None:
        return None
    return {
        "sentence": placement.sentence,
        "gpu_layers": placement.gpu_layers,
        "total_layers": placement.total_layers,
        "experts_in_ram": placement.experts_in_ram,
        "devices": [
            {"name": d.name, "bytes": d.nbytes, "capacity_bytes": d.capacity_bytes, "layers": d.layers}
            for d in placement.devices
        ],
    }


def _speed(speed: SpeedEstimate | None) -> dict[str, Any] | None:
    if speed is None:
        return None
    return {
        "tokens_per_second": speed.tokens_per_second,
        "low": speed.low,
        "high": speed.high,
        "first_token_seconds": speed.first_token_seconds,
        "first_token_low_seconds": speed.first_token_low,
        "first_token_high_seconds": speed.first_token_high,
        "note": speed.note,
    }


def _quality(quality: QualityLoss | None) -> dict[str, Any] | None:
    if quality is None:
        return None
    return {"words": quality.words, "perplexity_ratio": quality.perplexity_ratio, "source": quality.source}
