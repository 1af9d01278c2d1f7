"""How the Fit page says things: names of precisions, numbers with their bands, where a number comes from."""

from __future__ import annotations

from quantgui.fit.weights import STORED
from quantgui.gui import formatting
from quantgui.types import MemoryEstimate, MemoryKind, MemoryPart, Provenance, Runtime, SpeedEstimate

PARTS = {
    MemoryKind.WEIGHTS: "weights",
    MemoryKind.KV_CACHE: "KV cache",
    MemoryKind.COMPUTE: "compute",
    MemoryKind.OVERHEAD: "overhead",
}
PROVENANCE = {
    Provenance.MEASURED: "read off real files or runs",
    Provenance.DERIVED: "computed from the model's shapes",
    Provenance.ESTIMATED: "a model of the program, with a band",
}
RUNTIMES = {
    Runtime.LLAMA_CPP: "llama.cpp",
    Runtime.TRANSFORMERS: "transformers",
    Runtime.VLLM: "vLLM",
    Runtime.MLX: "MLX",
}


def name_of(scheme_id: str) -> str:
    """What a precision is called in the window."""
    return "As it is" if scheme_id == STORED else scheme_id


def band(low: int | None, high: int | None) -> str:
    """ "1.10 to 1.42 GiB"; "" where the number is exact."""
    if low is None or high is None or low == high:
        return ""
    first, last = formatting.memory(low), formatting.memory(high)
    if first == last:
        return ""
    number, _, unit = first.rpartition(formatting.NBSP)
    return f"{number if last.endswith(formatting.NBSP + unit) else first} to {last}"


def total_in_words(estimate: MemoryEstimate) -> str:
    """ "9.46 GiB (9.20 to 9.90 GiB)": the sum with its band."""
    spread = band(*estimate.band)
    return (
        f"{formatting.memory(estimate.total_bytes)} ({spread})" if spread else formatting.memory(estimate.total_bytes)
    )


def parts_in_words(estimate: MemoryEstimate) -> str:
    """ "weights 7.51 GiB · KV cache 1.00 GiB"."""
    known = [part_in_words(part) for part in estimate.parts if part.nbytes is not None]
    return " · ".join(known)


def part_in_words(part: MemoryPart) -> str:
    """ "weights 7.51 GiB"."""
    return f"{PARTS[part.kind]} {formatting.memory(part.nbytes)}"


def tip(estimate: MemoryEstimate) -> str:
    """What hovering a row says: parts, the sum with its band, the reason of the verdict, what is missing."""
    missing = [PARTS[p.kind] for p in estimate.parts if p.nbytes is None]
    lines = [
        f"{name_of(estimate.scheme_id)} in {RUNTIMES[estimate.runtime]}: {total_in_words(estimate)}",
        parts_in_words(estimate),
        estimate.reason,
    ]
    if missing:
        lines.append(f"Not estimated: {', '.join(missing)}.")
    return "\n".join(lines)


def longest_context(estimate: MemoryEstimate) -> str:
    """ "24k"; a dash where it is not known, "none" where not one token fits."""
    if estimate.longest_context is None:
        return "–"
    return formatting.about_tokens(estimate.longest_context) if estimate.longest_context else "none"


def tokens_per_second(value: float) -> str:
    """Two significant digits: more would promise what the band does not hold."""
    return formatting.digits(value, 2) if value < 100 else formatting.count(round(value / 10) * 10)


def speed(estimate: SpeedEstimate | None) -> str:
    """ "42"; a dash where it is not known."""
    return "–" if estimate is None else tokens_per_second(estimate.tokens_per_second)


def speed_with_band(estimate: SpeedEstimate) -> str:
    """ "42 tokens/s (28 to 51)"."""
    low, high = tokens_per_second(estimate.low), tokens_per_second(estimate.high)
    return f"{tokens_per_second(estimate.tokens_per_second)} tokens/s ({low} to {high})"
