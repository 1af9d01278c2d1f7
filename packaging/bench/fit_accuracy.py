"""How exactly the memory model hits what is published: GGUF files, parameters, caches, buffers, whole programs."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench import _runtime_memory
from bench._runtime_memory import Comparison
from quantgui.checkpoint.architectures import is_supported
from quantgui.checkpoint.catalogue import checkpoint_from_config, find_entry
from quantgui.checkpoint.config import read_config
from quantgui.formats.gguf.size import gguf_rows
from quantgui.types import GB, GIB

NAME = "fit-accuracy"
HELP = "errors in %: GGUF files (median 0.1, largest 1.5), caches (0), buffers (10), whole programs (median 5)"

ONE_DECIMAL = "GiB, 1 decimal"
"""Too coarse for the limits; shows that recent architectures are read correctly."""
DATA = Path(__file__).parent / "data" / "gguf_sizes.json"
STEP = {"bytes": 1, "GB": GB / 100, "GiB": GIB / 100, ONE_DECIMAL: GIB / 10}
"""Smallest difference a published figure can show."""


@dataclass(frozen=True)
class Row:
    """One published file and its prediction."""

    model: str
    file_type: str
    published: int
    predicted: int
    figure: str  # "bytes" exact; "GB" and "GiB" with two decimals
    imatrix: bool
    older: bool  # by the mixture of older versions of llama-quantize
    variant: str  # "" for what llama-quantize makes of the file type

    @property
    def error_percent(self) -> float:
        """Signed: positive where the prediction is too large."""
        return 100 * (self.predicted / self.published - 1)

    @property
    def is_within_figure(self) -> bool:
        """Whether the prediction is the published number, as far as its decimals show."""
        return abs(self.predicted - self.published) <= STEP[self.figure]


def run(work: Path) -> dict[str, Any]:
    """Predict every number; the tables go to stderr, the summary is returned."""
    rows = list(read_rows())
    print(table(rows), file=sys.stderr)
    standard = [row for row in rows if not row.variant and row.figure != ONE_DECIMAL]
    groups = {
        "": standard,
        "exact_bytes_": [row for row in standard if row.figure == "bytes"],
        "one_decimal_": [row for row in rows if row.figure == ONE_DECIMAL],
    }
    result: dict[str, Any] = {}
    for name, chosen in groups.items():
        if not chosen:
            continue
        errors = sorted(abs(row.error_percent) for row in chosen)
        result |= {
            f"{name}rows": len(errors),
            f"{name}median_percent": round(statistics.median(errors), 4),
            f"{name}p90_percent": round(errors[int(0.9 * (len(errors) - 1) + 0.5)], 4),
            f"{name}max_percent": round(errors[-1], 4),
        }
    return result | {"variant_rows": sum(bool(row.variant) for row in rows)} | memory_summary()


def memory_summary() -> dict[str, Any]:
    """Parameters, caches, buffers and whole programs against logs and published tables."""
    counts, caches = _runtime_memory.parameter_counts(), _runtime_memory.kv_caches()
    buffers, totals = _runtime_memory.compute_buffers(), _runtime_memory.totals()
    for title, rows in (("KV cache, MiB", caches), ("compute buffer, MiB", buffers), ("in all, MiB", totals)):
        print(f"\n{memory_table(title, rows)}", file=sys.stderr)
    return {
        "parameter_rows": len(counts),
        "parameter_differences": sum(row.published != row.predicted for row in counts),
        "kv_cache_rows": len(caches),
        "kv_cache_differences": sum(abs(row.predicted - row.published) > 0.005 for row in caches),
        **_errors("compute", [row for row in buffers if not row.flag]),
        **_errors("total", totals),
        "total_more_than_10_percent_under": sum(row.error_percent < -10 and not row.flag for row in totals),
    }


def _errors(name: str, rows: Sequence[Comparison]) -> dict[str, Any]:
    errors = sorted(abs(row.error_percent) for row in rows)
    return {
        f"{name}_rows": len(errors),
        f"{name}_median_percent": round(statistics.median(errors), 3),
        f"{name}_max_percent": round(errors[-1], 3),
    }


def memory_table(title: str, rows: Iterable[Comparison]) -> str:
    """One line per number, the largest errors first."""
    lines = [f"{title:64} {'published':>11} {'predicted':>11} {'error %':>8}"]
    lines += [
        f"{row.label:64} {row.published:11,.2f} {row.predicted:11,.2f} {row.error_percent:8.2f}  {row.flag}".rstrip()
        for row in sorted(rows, key=lambda row: -abs(row.error_percent))
    ]
    return "\n".join(lines)


def read_rows() -> Iterable[Row]:
    """The published files, each with its prediction; none for models whose config is not understood."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    models: Mapping[str, Mapping[str, Any]] = data["models"]
    for row in data["rows"]:
        described = models[row["model"]]
        sizes = _sizes(json.dumps(described), row["imatrix"], row["older"])
        if not sizes:
            continue
        yield Row(
            row["model"],
            row["file_type"],
            row["bytes"],
            sizes[row["file_type"]],
            row["figure"],
            row["imatrix"],
            row["older"],
            row["variant"],
        )


@cache
def _sizes(described: str, imatrix: bool, older: bool) -> dict[str, int]:
    model = json.loads(described)
    base = find_entry(model["base"]).config.raw if "base" in model else {}
    config = read_config({**base, **model.get("config", {})})
    if not is_supported(config):
        return {}
    checkpoint = checkpoint_from_config("", config)
    return {name: file_bytes for name, _, file_bytes in gguf_rows(checkpoint, imatrix, fused_apart=older)}


def table(rows: Iterable[Row]) -> str:
    """One line per file, the largest errors first."""
    lines = [f"{'model':44} {'type':8} {'published':>13} {'predicted':>13} {'error %':>8}  figure"]
    for row in sorted(rows, key=lambda row: (bool(row.variant), -abs(row.error_percent))):
        remarks = [row.figure + (", same number" if row.is_within_figure else "")]
        remarks += ["imatrix"] * row.imatrix + ["older mixture"] * row.older + [row.variant] * bool(row.variant)
        lines.append(
            f"{row.model:44} {row.file_type:8} {row.published:13,} {row.predicted:13,} {row.error_percent:8.3f}  "
            f"{'; '.join(remarks)}"
        )
    return "\n".join(lines)
