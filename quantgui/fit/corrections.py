"""What was learnt from real runs: bytes to add to an estimate's compute and overhead, per device and runtime.

Weights and KV cache are computed and never corrected: where they differ, the log is of another model or context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from quantgui.fit.logs.comparison import LogLine
from quantgui.types import MemoryEstimate, MemoryKind, MemoryPart, Provenance, Runtime, UserError

LARGEST_CORRECTION = 4 * 2**30
"""A larger difference is no correction: something else was measured."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What to add on one device in one program. Bytes may be negative."""

    device: str
    runtime: Runtime
    compute_bytes: int
    overhead_bytes: int
    date: str  # ISO 8601: "2026-11-21"
    source: str  # "llama.cpp", "vLLM", "nvidia-smi"


@dataclass(frozen=True, slots=True)
class Corrections:
    """All corrections; a newer one replaces an older one of the same device and runtime."""

    entries: tuple[Correction, ...] = ()

    def of(self, device: str, runtime: Runtime) -> Correction | None:
        """The correction of a device and runtime, if there is one."""
        return next((c for c in self.entries if c.device == device and c.runtime is runtime), None)

    def with_correction(self, correction: Correction) -> Corrections:
        """These with one more."""
        return Corrections((*self.without(correction.device, correction.runtime).entries, correction))

    def without(self, device: str, runtime: Runtime) -> Corrections:
        """These without that of one device and runtime."""
        return Corrections(tuple(c for c in self.entries if not (c.device == device and c.runtime is runtime)))

    def as_json(self) -> list[dict[str, Any]]:
        """For a settings file; `from_json` reads it back."""
        return [asdict(c) | {"runtime": c.runtime.value} for c in self.entries]


def from_json(entries: object) -> Corrections:
    """Corrections as `as_json` wrote them; entries that make no sense are left out, as a settings file may be old."""
    if not isinstance(entries, list):
        return Corrections()
    found = [_entry(entry) for entry in entries if isinstance(entry, Mapping)]
    return Corrections(tuple(entry for entry in found if entry is not None))


def correction_from(
    lines: Sequence[LogLine], device: str, runtime: Runtime, date: str, source: str, previous: Correction | None = None
) -> Correction:
    """The correction that makes the estimate agree with the compared lines.

    Raises UserError where the log is of another model or context (weights or cache differ by more than a tenth), or
    states neither compute nor overhead nor memory in use. `previous` is what the compared estimate already contained.
    """
    for line in lines:
        if line.kind in (MemoryKind.WEIGHTS, MemoryKind.KV_CACHE) and abs(line.error or 0.0) > 0.1:
            raise UserError(
                f"{line.label} of the log differ too much from this row; it is of another model, file or context.",
                hint="Choose the model, the precision and the context of the log, then compare again.",
            )
    differences = {line.kind: line.real - (line.predicted or 0) for line in lines}
    compute = differences.get(MemoryKind.COMPUTE, 0)
    overhead = differences.get(MemoryKind.OVERHEAD, 0)
    in_use = [line for line in lines if line.kind is None and line.label == "In use"]
    if in_use:
        overhead = in_use[0].real - (in_use[0].predicted or 0)
    elif not differences.keys() & {MemoryKind.COMPUTE, MemoryKind.OVERHEAD}:
        raise UserError("The log states nothing that could be corrected.", hint="Paste the whole log of a load.")
    if max(abs(compute), abs(overhead)) > LARGEST_CORRECTION:
        raise UserError(
            "The difference is larger than 4 GiB; other programs or another model are in it.",
            hint="Close other programs, or choose the model and the context of the log.",
        )
    if previous is not None:
        compute, overhead = compute + previous.compute_bytes, overhead + previous.overhead_bytes
    return Correction(device, runtime, compute, overhead, date, source)


def apply(corrections: Corrections, estimate: MemoryEstimate, device: str) -> MemoryEstimate:
    """The estimate with the correction of its runtime on `device`; the same where there is none.

    The verdict stays; `estimate_table` corrects before it judges.
    """
    correction = corrections.of(device, estimate.runtime)
    if correction is None:
        return estimate
    return replace(estimate, parts=tuple(corrected(part, correction) for part in estimate.parts))


def corrected(part: MemoryPart, correction: Correction) -> MemoryPart:
    """A part with what was learnt about it; the same for weights and KV cache, and where it is not estimated."""
    added = {MemoryKind.COMPUTE: correction.compute_bytes, MemoryKind.OVERHEAD: correction.overhead_bytes}
    difference = added.get(part.kind, 0)
    if part.nbytes is None or not difference:
        return part
    nbytes = max(0, part.nbytes + difference)
    note = f"{part.note} Corrected by {correction.source} of {correction.date}.".strip()
    low = None if part.low is None else min(nbytes, max(0, part.low + difference))
    high = None if part.high is None else max(nbytes, part.high + difference)
    return replace(part, nbytes=nbytes, low=low, high=high, note=note, provenance=Provenance.MEASURED)


def _entry(entry: Mapping[str, Any]) -> Correction | None:
    try:
        correction = Correction(
            device=str(entry["device"]),
            runtime=Runtime(entry["runtime"]),
            compute_bytes=int(entry["compute_bytes"]),
            overhead_bytes=int(entry["overhead_bytes"]),
            date=str(entry["date"]),
            source=str(entry["source"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    worst = max(abs(correction.compute_bytes), abs(correction.overhead_bytes))
    return correction if worst <= LARGEST_CORRECTION else None
