"""The rows of the fit table as they are shown: by the files they come in, most bits first, rare ones folded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from quantgui.quant.method import Kind
from quantgui.quant.registry import all_methods
from quantgui.types import HardwareTarget, MemoryEstimate, Runtime

HUGGING_FACE, GGUF, MLX = "Hugging Face", "GGUF", "MLX"
TITLES = {
    HUGGING_FACE: "Hugging Face · transformers and vLLM",
    GGUF: "GGUF · llama.cpp and Ollama",
    MLX: "MLX · Macs",
}
ORDER, ORDER_WITHOUT_GPU = (HUGGING_FACE, GGUF, MLX), (GGUF, MLX, HUGGING_FACE)
"""Without a dedicated GPU, llama.cpp and MLX are what people use."""
_OF_RUNTIME = {Runtime.LLAMA_CPP: GGUF, Runtime.MLX: MLX}
USUAL_GGUF = frozenset({"GGUF-BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"})
"""What people who publish GGUF files usually offer."""
RARE = frozenset({"FP32", "FP16", "W8A8-dynamic", "NF4", "FP4", "FP4-DQ", "INT3", "Ternary", "Binary"})
"""Rows of Hugging Face that another row equals in size or beats in quality."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that come in one kind of file. `folded` counts those that are not in `rows`."""

    id: str
    rows: tuple[MemoryEstimate, ...]
    folded: int
    is_unfolded: bool  # all rows are shown, some of which could be folded

    @property
    def total(self) -> int:
        """Rows of the group, folded ones included."""
        return len(self.rows) + self.folded


def group_of(estimate: MemoryEstimate) -> str:
    """Id of the group an estimate belongs to."""
    return _OF_RUNTIME.get(estimate.runtime, HUGGING_FACE)


def order_for(hardware: HardwareTarget, best: MemoryEstimate | None) -> tuple[str, ...]:
    """Groups as they suit the hardware, that of the recommended row first: it is what people look for."""
    order = ORDER if hardware.device_bytes else ORDER_WITHOUT_GPU
    return order if best is None else tuple(sorted(order, key=lambda group: group != group_of(best)))


def is_usual(estimate: MemoryEstimate) -> bool:
    """Whether the row is worth showing to everybody."""
    if group_of(estimate) == GGUF:
        return estimate.scheme_id in USUAL_GGUF
    return estimate.scheme_id not in RARE | _special()


@cache
def _special() -> frozenset[str]:
    """Precisions that need a training run before they are any good, and calibrated ones beside the usual 4 bits."""
    return frozenset(
        row.id
        for method in all_methods().values()
        for row in method.rows
        if method.kind is Kind.TRAINED or (method.kind is Kind.CALIBRATED and row.bits != 4)
    )


def usual(estimates: Sequence[MemoryEstimate], keep: Collection[str] = ()) -> tuple[MemoryEstimate, ...]:
    """The rows worth showing to everybody, in their order, and those that `keep` names."""
    return tuple(row for row in estimates if is_usual(row) or row.scheme_id in keep)


def grouped(
    estimates: Sequence[MemoryEstimate],
    unfolded: Collection[str] = (),
    keep: Collection[str] = (),
    sort: Callable[[MemoryEstimate], Any] | None = None,
    descending: bool = True,
    order: Sequence[str] = ORDER,
) -> tuple[Group, ...]:
    """Groups that have rows, in `order`. Those in `unfolded` show all; `keep` names rows that are never folded.

    `sort` gives the key of a row, None for one that stands last; without it rows stand by bits per weight.
    """
    found: list[Group] = []
    for group in order:
        rows = [estimate for estimate in estimates if group_of(estimate) == group]
        shown_always = usual(rows, keep)
        if not rows:
            continue
        is_unfolded = group in unfolded and len(shown_always) < len(rows)
        shown = rows if is_unfolded or not shown_always else shown_always
        ordered = _sorted(shown, sort or (lambda row: row.bits_per_weight), descending)
        found.append(Group(group, ordered, len(rows) - len(shown), is_unfolded))
    return tuple(found)


def _sorted(
    rows: Sequence[MemoryEstimate], key: Callable[[MemoryEstimate], Any], descending: bool
) -> tuple[MemoryEstimate, ...]:
    known = [row for row in rows if key(row) is not None]
    unknown = [row for row in rows if key(row) is None]
    return (*sorted(known, key=key, reverse=descending), *unknown)
