"""The estimates as a person reads them in a terminal: memory in GiB, files in GB, one line per precision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from quantgui.fit.recommendation import Recommendation
from quantgui.fit.settings import FitSettings
from quantgui.fit.training import TrainingEstimate
from quantgui.fit.weights import STORED
from quantgui.types import HardwareTarget, MemoryEstimate, MemoryKind, Runtime, Verdict
from quantgui.units import count, digits, file_size, memory

VERDICT_WORDS: Mapping[Verdict, str] = {
    Verdict.FITS: "fits",
    Verdict.TIGHT: "tight",
    Verdict.OFFLOAD: "needs RAM offload",
    Verdict.TOO_LARGE: "too large",
}
RUNTIME_TITLES: Mapping[Runtime, str] = {
    Runtime.TRANSFORMERS: "Hugging Face folders, in transformers",
    Runtime.VLLM: "Hugging Face folders, in vLLM",
    Runtime.LLAMA_CPP: "GGUF files, in llama.cpp or Ollama",
    Runtime.MLX: "MLX folders, on Apple silicon",
}
COLUMNS = (
    "precision",
    "bits/weight",
    "weights",
    "KV cache",
    "compute",
    "overhead",
    "total",
    "file",
    "longest context",
    "tokens/s",
    "expected loss",
    "verdict",
)
LEFT = (0, 10, 11)
"""Columns of words; the others hold numbers and stand to the right."""
NOTED = (MemoryKind.WEIGHTS, MemoryKind.KV_CACHE)
NAMED_ROWS = 6
"""Up to so many rows are named before a note; what more say is about a kind of files, and the note says which."""
LEGEND = (
    "Weights and KV cache follow from the model; compute, overhead and tokens/s are estimates (bands: --json).",
    "1 GiB = 2^30 bytes, 1 GB = 1e9 bytes. tokens/s while generating for one user; ★ marks the recommended row.",
)


def table_lines(estimates: Sequence[MemoryEstimate], star: Recommendation | None) -> Iterator[str]:
    """The rows by runtime; columns have the same width everywhere. Why a row fits, its numbers say; of the others the
    reason stands behind them.
    """
    cells = [_cells(estimate, star) for estimate in estimates]
    widths = [max(len(row[i]) for row in [COLUMNS, *cells]) for i in range(len(COLUMNS))]
    for runtime in dict.fromkeys(estimate.runtime for estimate in estimates):
        yield RUNTIME_TITLES[runtime]
        yield _line(COLUMNS, widths).rstrip()
        for estimate, row in zip(estimates, cells, strict=True):
            if estimate.runtime is runtime:
                reason = "" if estimate.verdict is Verdict.FITS else estimate.reason
                yield f"{_line(row, widths)}  {reason}".rstrip()
        yield ""


def row_notes(estimates: Sequence[MemoryEstimate]) -> Iterator[str]:
    """What the rows say about their weights and caches, once each; before what only a few say stand their names."""
    rows: dict[str, list[str]] = {}
    for estimate in estimates:
        for note in dict.fromkeys(part.note for part in estimate.parts if part.kind in NOTED and part.note):
            rows.setdefault(note, []).append(row_name(estimate.scheme_id))
    for note, names in rows.items():
        is_about_few = len(names) <= NAMED_ROWS and len(names) < len(estimates)
        yield f"{', '.join(names)}: {note}" if is_about_few else note


def training_lines(estimates: Iterable[TrainingEstimate]) -> Iterator[str]:
    """Fine-tuning, a line per kind."""
    rows = [(e.title, memory(e.total_bytes), VERDICT_WORDS[e.verdict], e.reason) for e in estimates]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    yield "Fine-tuning"
    for title, total, verdict, reason in rows:
        yield f"{title.ljust(widths[0])}  {total.rjust(widths[1])}  {verdict.ljust(widths[2])}  {reason}"
    yield ""


def settings_line(settings: FitSettings) -> str:
    """How the model is used, in words."""
    words = [f"context {count(settings.context)} tokens", f"batch {count(settings.batch)}"]
    if settings.slots > 1:
        words.append(f"{settings.slots} slots that share the context")
    words.append(f"KV cache {settings.kv_dtype}")
    if not settings.flash_attention:
        words.append("without flash attention")
    return ", ".join(words)


def row_name(scheme_id: str) -> str:
    """What a row is called: an already quantized checkpoint has no precision to name."""
    return "as it is" if scheme_id == STORED else scheme_id


def hardware_line(hardware: HardwareTarget) -> str:
    """The hardware and its memories, in words."""
    parts = [hardware.name]
    if hardware.device_bytes:
        parts.append(f"{memory(hardware.device_bytes)} of GPU memory")
    if hardware.ram_bytes:
        free = hardware.ram_available_bytes
        parts.append(f"{memory(hardware.ram_bytes)} of RAM" + (f" ({memory(free)} available)" if free else ""))
    return ", ".join(parts)


def _cells(estimate: MemoryEstimate, star: Recommendation | None) -> tuple[str, ...]:
    marked = star is not None and star.scheme_id == estimate.scheme_id
    longest, speed, quality = estimate.longest_context, estimate.speed, estimate.quality
    return (
        f"{'★' if marked else ' '} {row_name(estimate.scheme_id)}",
        f"{estimate.bits_per_weight:.2f}" if estimate.bits_per_weight else "–",
        *(memory(estimate.part(kind)) for kind in MemoryKind),
        memory(estimate.total_bytes),
        file_size(estimate.file_bytes),
        "–" if longest is None else count(longest),
        "–" if speed is None else digits(speed.tokens_per_second),
        "–" if quality is None else _brief(quality.words),
        VERDICT_WORDS[estimate.verdict],
    )


def _brief(words: str) -> str:
    """A judgement without its conditions, which the JSON has whole."""
    return words.partition(";")[0].partition(" unless ")[0]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.ljust(width) if i in LEFT else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(cells)
