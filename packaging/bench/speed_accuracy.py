"""How well tokens per second are estimated, against published measurements."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from quantgui.checkpoint.catalogue import find_entry
from quantgui.fit.gguf_weights import gguf_weights
from quantgui.fit.kv_cache import kv_cache
from quantgui.fit.settings import FitSettings
from quantgui.fit.speed import speed_of
from quantgui.fit.weights import WeightBytes, active_bytes, weights_per_row
from quantgui.hardware.catalogue import target
from quantgui.types import Checkpoint, Runtime, SpeedEstimate

NAME = "speed-accuracy"
HELP = "estimated over measured tokens/s: median (goal 0.9 to 1.1 for dense models), 10th and 90th percentile"

DATA = Path(__file__).parent / "data" / "speeds.json"
PUBLISHERS_MIXTURES = {"UD-Q3_K_XL": "Q3_K_L", "UD-Q4_K_XL": "Q4_K_M", "UD-Q5_K_XL": "Q5_K_M"}
"""The type whose split into active and idle bytes stands for a publisher's own mixture, scaled to its file."""


@dataclass(frozen=True)
class Row:
    """One measurement and its estimate."""

    model: str
    file_type: str
    device: str
    engine: str
    source: str
    is_moe: bool
    measured: float  # tokens per second
    estimated: float
    low: float
    high: float

    @property
    def ratio(self) -> float:
        """Estimated over measured."""
        return self.estimated / self.measured

    @property
    def is_within_band(self) -> bool:
        """Whether the measurement lies in the estimate's band."""
        return self.low <= self.measured <= self.high


def run(work: Path) -> dict[str, Any]:
    """Estimate every row; the table goes to stderr, quantiles of estimated over measured are returned."""
    rows = list(read_rows())
    print(table(rows), file=sys.stderr)
    groups: dict[str, Callable[[Row], bool]] = {
        "dense": lambda row: not row.is_moe,
        "dense_llama_cpp": lambda row: not row.is_moe and row.engine == "llama.cpp",
        "dense_llama_cpp_recent": lambda row: (
            not row.is_moe and row.engine == "llama.cpp" and ("2025" in row.source or "2026" in row.source)
        ),
        "dense_transformers": lambda row: not row.is_moe and row.engine == "transformers",
        "apple": lambda row: "Apple" in row.device,
        "moe": lambda row: row.is_moe,
    }
    result: dict[str, Any] = {}
    for name, belongs in groups.items():
        result |= quantiles(name, [row for row in rows if belongs(row)])
    dense = [row for row in rows if groups["dense"](row)]
    first, second = half_medians([row for row in dense if row.engine == "llama.cpp"])
    result |= {"dense_llama_cpp_half_a_median": round(first, 3), "dense_llama_cpp_half_b_median": round(second, 3)}
    prompts = sorted(prompt_ratios())
    result |= {"first_token_rows": len(prompts), "first_token_median": round(statistics.median(prompts), 3)}
    result["dense_within_band"] = round(sum(row.is_within_band for row in dense) / len(dense), 3)
    return result


def quantiles(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Number of rows, median, 10th and 90th percentile of estimated over measured."""
    ratios = sorted(row.ratio for row in rows)
    last = len(ratios) - 1
    return {
        f"{name}_rows": len(ratios),
        f"{name}_median": round(statistics.median(ratios), 3),
        f"{name}_p10": round(ratios[round(0.1 * last)], 3),
        f"{name}_p90": round(ratios[round(0.9 * last)], 3),
    }


def half_medians(rows: Sequence[Row]) -> tuple[float, float]:
    """The medians over every other device and over the rest: far apart, the constants would suit some devices alone."""
    devices = sorted({row.device for row in rows})
    first, second = ([row.ratio for row in rows if devices.index(row.device) % 2 == half] for half in (0, 1))
    return statistics.median(first), statistics.median(second)


@cache
def read_rows() -> tuple[Row, ...]:
    """The measurements, each with its estimate."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return tuple(_row(row, data["sources"][row["source"]]) for row in data["rows"])


def prompt_ratios() -> list[float]:
    """Estimated over measured time to the first token."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    ratios = []
    for row in data["prompts"]:
        estimate, _ = _estimate({**row, "engine": "llama.cpp", "filled": row["prompt_tokens"]})
        assert estimate.first_token_seconds is not None
        ratios.append(estimate.first_token_seconds / (row["prompt_tokens"] / row["tokens_per_second"]))
    return ratios


def _estimate(row: dict[str, Any]) -> tuple[SpeedEstimate, bool]:
    """The estimate of a row, and whether its model is a mixture of experts."""
    checkpoint = _checkpoint(row["model"])
    weights = _weights(row)
    scale = row["file_bytes"] / weights.file_bytes if "file_bytes" in row and weights.file_bytes else 1.0
    config = checkpoint.config
    assert config is not None
    cache_bytes = 0
    found, _ = kv_cache(config)
    if found is not None and row["filled"]:
        cache_bytes = found.nbytes(FitSettings(row["filled"], 1, row.get("kv_dtype", "f16")))
    is_moe = weights.split.expert_share < 1
    estimate = speed_of(
        round(scale * active_bytes(weights)),
        2 * cache_bytes,  # the estimate takes the context as half full
        scale * weights.bits_per_weight,
        is_moe,
        None,
        target(row["device"], row.get("count", 1)),
        checkpoint.parameters,
        row["filled"],
        runtime=Runtime(str(row["engine"])),
        layers=config.num_layers,
    )
    assert estimate is not None, f"no speed for {row['device']}"
    return estimate, is_moe


def _row(row: dict[str, Any], source: str) -> Row:
    estimate, is_moe = _estimate(row)
    device = row["device"] if row.get("count", 1) == 1 else f"{row['count']} x {row['device']}"
    return Row(
        row["model"],
        row.get("method", row["file_type"]),
        device,
        row["engine"],
        source,
        is_moe,
        row["tokens_per_second"],
        estimate.tokens_per_second,
        estimate.low,
        estimate.high,
    )


def _weights(row: dict[str, Any]) -> WeightBytes:
    written: str = row["file_type"]
    file_type = PUBLISHERS_MIXTURES.get(written) or written.removeprefix("UD-")
    if row["engine"] == "llama.cpp":
        table = {
            weights.scheme_id.removeprefix("GGUF-"): weights for weights in gguf_weights(_checkpoint(row["model"]))
        }
    else:
        table = {weights.scheme_id: weights for weights in weights_per_row(_checkpoint(row["model"]))}
    return table[file_type]


@cache
def _checkpoint(model: str) -> Checkpoint:
    return find_entry(model).checkpoint()


def table(rows: Iterable[Row]) -> str:
    """One line per measurement, those estimated too fast first."""
    lines = [f"{'model':40} {'type':10} {'device':26} {'measured':>9} {'estimated':>9} {'ratio':>6}  source"]
    for row in sorted(rows, key=lambda row: (row.is_moe, row.engine, -row.ratio)):
        remark = "" if row.is_within_band else "  outside the band"
        lines.append(
            f"{row.model[-40:]:40} {row.file_type:10} {row.device[:26]:26} {row.measured:9.1f} {row.estimated:9.1f} "
            f"{row.ratio:6.2f}  {row.source}{remark}"
        )
    return "\n".join(lines)
