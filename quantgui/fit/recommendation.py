"""The star: which precision to choose, and why, in one sentence.

What people of the field do: 16 bits where that is easy, else 8 bits, else the largest precision with hardly any loss
that fits; 4 bits before anything runs from RAM; 2 bits and less only where nothing better runs at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quantgui.fit.budget import budget_of
from quantgui.fit.quality_loss import HARDLY_ANY, NOTICEABLE, SLIGHT, STRONG, quality_loss, severity
from quantgui.types import HardwareTarget, MemoryEstimate, MemoryKind, Runtime, Verdict
from quantgui.units import count, memory, percent

EASY_SHARE = 0.6
"""16 bits are chosen where they take no more than this share of the memory: context and batch can still grow."""
COMFORTABLE_SHARE = 0.9
SIXTEEN_BITS = (15.5, 16.5)
EIGHT_BITS = 9.7
"""8-bit precisions with their scales and 16-bit embeddings."""
FOUR_BITS = 5.2
"""4-bit precisions likewise; what a computer without a GPU reads fast enough."""
SMALL_MODEL = 3_000_000_000
KV_IS_MOST = 0.4
"""From this share on the cache is worth a word."""
Q8_0_SHARE = 34 / 64
"""Bytes of a q8_0 cache over those of f16."""
ANY_LOSS, ANY_BITS = 99, (0.0, 99.0)
SERVERS = ("datacenter GPU",)
NEEDS_A_RECENT_GPU = ("FP8",)
"""Eight-bit floats are computed by GPUs since 2022; others only unpack them."""
SAME_RATIO = 0.02
"""Perplexities closer than this tell nothing about another model."""
UNKNOWN_RATIO = 100.0
KNOWN_NAMES = (
    "BF16",
    "FP8",
    "INT8",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q4_K_M",
    "Q4_K_S",
    "Q3_K_M",
    "INT4",
    "GPTQ-4",
    "AWQ-4",
)
"""What decides among rows of equal loss: the names people know."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The row with the star."""

    scheme_id: str
    sentence: str


@dataclass(frozen=True, slots=True)
class _Step:
    """Rows that would do, and what is said of the one chosen. Later steps are compromises."""

    verdict: Verdict
    most_loss: int
    why: str
    bits: tuple[float, float] = (0.0, EIGHT_BITS)
    easily: bool = False
    fewest_bits: bool = False  # where every byte is read from slow memory


_LAST_RESORT = "Nothing better runs, and it loses much; a smaller model would be better"
LARGEST = "Largest precision with hardly any loss that fits"
_STEPS = (
    _Step(Verdict.FITS, SLIGHT, "No loss, and it fits with room to spare", SIXTEEN_BITS, easily=True),
    _Step(Verdict.FITS, SLIGHT, LARGEST),
    _Step(Verdict.FITS, NOTICEABLE, "Nothing better fits; expect a noticeable loss"),
    _Step(Verdict.TIGHT, SLIGHT, "It just fits; close other programs first"),
    _Step(Verdict.OFFLOAD, SLIGHT, "It runs with part of it in RAM, slower", fewest_bits=True),
    _Step(Verdict.TIGHT, NOTICEABLE, "It just fits, with a noticeable loss"),
    _Step(Verdict.FITS, STRONG, "Nothing better fits; expect a strong loss"),
    _Step(Verdict.OFFLOAD, NOTICEABLE, "It runs with part of it in RAM, slower and with a noticeable loss"),
    _Step(Verdict.FITS, ANY_LOSS, _LAST_RESORT),
    _Step(Verdict.TIGHT, ANY_LOSS, _LAST_RESORT),
    _Step(Verdict.OFFLOAD, ANY_LOSS, _LAST_RESORT),
    *(_Step(verdict, ANY_LOSS, "It runs", ANY_BITS) for verdict in (Verdict.FITS, Verdict.TIGHT, Verdict.OFFLOAD)),
)


def recommend(estimates: Sequence[MemoryEstimate], hardware: HardwareTarget | None = None) -> Recommendation | None:
    """The best row and the reason for it; None where nothing runs at all.

    `hardware` adds the size that it fits, and what suits the device: llama.cpp's files on a person's own computer, at
    4 bits where there is no GPU (8 for small models), since processors are slow readers.
    """
    limit = budget_of(hardware).primary_bytes if hardware is not None else None
    rows = [row for row in estimates if row.verdict is not Verdict.TOO_LARGE and row.part(MemoryKind.WEIGHTS)]
    suited = [row for row in rows if _suits(row, hardware) and _saves(row, rows)] or rows
    for step in _STEPS:
        chosen = _chosen(suited, step, hardware, limit)
        if chosen is not None:
            larger = any(row.verdict is Verdict.FITS and row.bits_per_weight >= SIXTEEN_BITS[0] for row in rows)
            why = _beside_sixteen_bits(hardware) if larger and step.why == LARGEST else step.why
            return Recommendation(chosen.scheme_id, _sentence(chosen, step, why, limit))
    return None


def _suits(row: MemoryEstimate, hardware: HardwareTarget | None) -> bool:
    """Whether the device's usual programs run this row well."""
    if hardware is None:
        return True
    if hardware.device_bytes:
        return hardware.kind in SERVERS or row.scheme_id not in NEEDS_A_RECENT_GPU
    if row.runtime in (Runtime.TRANSFORMERS, Runtime.VLLM):
        return False
    most = EIGHT_BITS if _parameters(row) < SMALL_MODEL else FOUR_BITS
    return bool(hardware.accelerators) or row.bits_per_weight <= most


def _saves(row: MemoryEstimate, rows: Sequence[MemoryEstimate]) -> bool:
    """Whether fewer bits need less memory in the same program: transformers unpacks some formats to 16 bits."""
    if row.bits_per_weight >= SIXTEEN_BITS[0]:
        return True
    whole = [o.total_bytes for o in rows if o.runtime is row.runtime and o.scheme_id == "BF16"]
    return not whole or row.total_bytes < whole[0]


def _parameters(row: MemoryEstimate) -> float:
    return 8 * (row.part(MemoryKind.WEIGHTS) or 0) / row.bits_per_weight if row.bits_per_weight else 0.0


def _chosen(
    rows: Sequence[MemoryEstimate], step: _Step, hardware: HardwareTarget | None, limit: int | None
) -> MemoryEstimate | None:
    low, high = step.bits
    would_do = [
        row
        for row in rows
        if row.verdict is step.verdict
        and low <= row.bits_per_weight <= high
        and _loss(row) <= step.most_loss
        and not (step.easily and limit is not None and row.total_bytes > EASY_SHARE * limit)
    ]
    if step.fewest_bits:
        return min(would_do, key=lambda row: (row.runtime is not Runtime.LLAMA_CPP, row.bits_per_weight), default=None)
    hub_first = hardware is None or hardware.kind in SERVERS or step.bits == SIXTEEN_BITS
    return max(would_do, key=lambda row: _rank(row, hub_first), default=None)


def _rank(row: MemoryEstimate, hub_first: bool) -> tuple[float, float, bool, bool, float]:
    """Least loss first (none and hardly any are alike), then what is usual on the device, then the known names."""
    loss = max(_loss(row), HARDLY_ANY)
    if _loss(row) == 0 and row.bits_per_weight < SIXTEEN_BITS[0]:
        loss = 0  # the format that the weights are published in: more bits add nothing
    ratio = row.quality.perplexity_ratio if row.quality is not None else None
    excess = 0 if loss <= HARDLY_ANY else round((ratio or UNKNOWN_RATIO) / SAME_RATIO)
    is_hub = row.runtime in (Runtime.TRANSFORMERS, Runtime.VLLM)
    return -loss, -excess, is_hub == hub_first, row.scheme_id in KNOWN_NAMES, row.bits_per_weight


def _loss(row: MemoryEstimate) -> int:
    return severity(row.quality or quality_loss(row.scheme_id, row.bits_per_weight))


def _beside_sixteen_bits(hardware: HardwareTarget | None) -> str:
    """Why fewer than 16 bits although these would fit too."""
    if hardware is not None and not hardware.accelerators:
        return "Hardly any loss, and fewer bytes for the processor to read for each token; it fits"
    return "Hardly any loss, and more room for context than 16 bits leave; it fits"


def _sentence(row: MemoryEstimate, step: _Step, why: str, limit: int | None) -> str:
    text = why
    if _loss(row) > HARDLY_ANY and step.most_loss == SLIGHT:
        text = text.replace("Hardly any loss", "A slight loss").replace("hardly any loss", "a slight loss")
    if limit is not None and step.verdict is Verdict.FITS and text.endswith("fits"):
        text = f"{text} {memory(limit)}"
    cache = row.part(MemoryKind.KV_CACHE)
    if cache and cache >= KV_IS_MOST * row.total_bytes:
        text += f"; the KV cache is {percent(cache / row.total_bytes)} of it"
        if step.most_loss > SLIGHT and step.verdict is Verdict.FITS:
            text += ", and a q8_0 cache would leave room for a better precision"
    if row.verdict is not Verdict.FITS:
        text += _smaller_cache(row, cache or 0, limit)
    return f"{text}."


def _smaller_cache(row: MemoryEstimate, cache: int, limit: int | None) -> str:
    """What of context or cache type would make the row fit, "" where neither does."""
    ways = []
    if row.longest_context:
        ways.append(f"{count(row.longest_context)} tokens of context")
    if limit is not None and cache and row.total_bytes - (1 - Q8_0_SHARE) * cache <= COMFORTABLE_SHARE * limit:
        ways.append("a q8_0 KV cache")
    return f"; {' or '.join(ways)} would fit" if ways else ""
