"""`quantgui fit MODEL`: what every precision needs on this or other hardware, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

from quantgui.checkpoint import ChildNeeded
from quantgui.checkpoint.resolve import resolve
from quantgui.cli.run_job import run_job
from quantgui.fit.estimate import estimate_all, estimate_gguf
from quantgui.fit.settings import KV_TYPES, FitSettings, default_context
from quantgui.fit.weights import parameters
from quantgui.hardware.catalogue import parse_target
from quantgui.hardware.probe import this_machine
from quantgui.jobs.job import ReadJob
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate, MemoryKind, UserError, Verdict
from quantgui.units import count, file_size, memory
from quantgui.units import parameters as parameter_count

HELP = "what fits: memory of every precision on this or other hardware, with a verdict"
VERDICT_WORDS: Mapping[Verdict, str] = {
    Verdict.FITS: "fits",
    Verdict.TIGHT: "tight",
    Verdict.OFFLOAD: "needs RAM offload",
    Verdict.TOO_LARGE: "too large",
}
COLUMNS = ("precision", "bits/weight", "weights", "KV cache", "total", "file", "verdict")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument(
        "model", metavar="MODEL", help="a model folder or file, a config.json, the id of a known model, or “demo”"
    )
    parser.add_argument("--hardware", metavar="NAME", help='such as "RTX 3060" or "2xRTX 4090"; default: this machine')
    parser.add_argument("--ram", type=float, metavar="GIB", help="RAM of the computer around --hardware, in GiB")
    parser.add_argument("--context", type=int, metavar="N", help="tokens per sequence")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences at once; default 1")
    parser.add_argument("--kv", default="f16", choices=list(KV_TYPES), help="type of the KV cache; default f16")
    parser.add_argument("--imatrix", action="store_true", help="GGUF mixtures as with an importance matrix")
    parser.add_argument("--json", action="store_true", help="print one JSON object; values not estimated are null")


def run(options: argparse.Namespace) -> int:
    """Runs the verb; returns the exit code. Raises UserError."""
    hardware = _hardware(options)
    checkpoint = _checkpoint(options.model)
    if checkpoint is None:
        return 1
    context = default_context(checkpoint.config) if options.context is None else options.context
    settings = FitSettings(context, options.batch, options.kv)
    estimates = (
        *estimate_all(checkpoint, hardware, settings),
        *estimate_gguf(checkpoint, hardware, settings, options.imatrix),
    )
    if options.json:
        print(json.dumps(as_json(checkpoint, hardware, settings, estimates), ensure_ascii=False))
    else:
        print("\n".join(as_text(checkpoint, hardware, settings, estimates)))
    return 0


def as_json(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings, estimates: Sequence[MemoryEstimate]
) -> dict[str, Any]:
    """What `--json` prints. Sizes are bytes; a value that is not estimated is None."""
    return {
        "model": checkpoint.name,
        "parameters": parameters(checkpoint),
        "hardware": _hardware_json(hardware),
        "context": settings.context,
        "batch": settings.batch,
        "kv_dtype": settings.kv_dtype,
        "rows": [_row_json(estimate) for estimate in estimates],
        "notes": list(_notes(checkpoint, hardware, estimates)),
    }


def as_text(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: FitSettings, estimates: Sequence[MemoryEstimate]
) -> list[str]:
    """The table a person reads: memory in GiB, files in GB."""
    total = parameters(checkpoint)
    size = f" · {parameter_count(total)} parameters" if total else ""
    lines = [
        f"{checkpoint.name}{size}",
        f"on {_described(hardware)}",
        f"context {count(settings.context)} tokens, batch {count(settings.batch)}, KV cache {settings.kv_dtype}",
        "",
    ]
    table = [COLUMNS, *(_cells(estimate) for estimate in estimates)]
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
    for row, reason in zip(table, ["", *(e.reason for e in estimates)], strict=True):
        numbers = (cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True))
        cells = [row[0].ljust(widths[0]), *numbers, row[-1].ljust(widths[-1])]
        lines.append("  ".join([*cells, reason]).rstrip())
    lines += [
        "",
        "Weights and KV cache; activations and the runtime's own memory come on top. 1 GiB = 2^30, 1 GB = 1e9.",
    ]
    lines += [f"note: {note}" for note in _notes(checkpoint, hardware, estimates)]
    return lines


def _hardware(options: argparse.Namespace) -> HardwareTarget:
    if options.hardware is not None:
        return parse_target(options.hardware, options.ram)
    if options.ram is not None:
        raise UserError("--ram belongs to --hardware.", hint="This machine's RAM is read from the machine.")
    return this_machine()


def _checkpoint(model: str) -> Checkpoint | None:
    """The model's headers; a pickled file is read by a child process. None where that failed and has said why."""
    try:
        return resolve(model)
    except ChildNeeded as needed:
        finished = run_job(ReadJob(needed.path), as_json=False)
        return finished.checkpoint if finished is not None else None


def _hardware_json(hardware: HardwareTarget) -> dict[str, Any]:
    return {
        "name": hardware.name,
        "kind": hardware.kind,
        "accelerators": [
            {
                "name": gpu.name,
                "memory_bytes": gpu.memory_bytes,
                "free_bytes": gpu.free_bytes,
                "bandwidth_bytes_per_second": gpu.bandwidth,
                "unified": gpu.unified,
            }
            for gpu in hardware.accelerators
        ],
        "memory_bytes": hardware.device_bytes or hardware.ram_bytes,
        "ram_bytes": hardware.ram_bytes,
        "ram_available_bytes": hardware.ram_available_bytes,
        "note": hardware.note,
    }


def _row_json(estimate: MemoryEstimate) -> dict[str, Any]:
    return {
        "id": estimate.scheme_id,
        "bits_per_weight": estimate.bits_per_weight or None,
        **{f"{kind.value}_bytes": estimate.part(kind) for kind in MemoryKind},
        "total_bytes": estimate.total_bytes,
        "file_bytes": estimate.file_bytes,
        "verdict": estimate.verdict.value,
        "reason": estimate.reason,
    }


def _cells(estimate: MemoryEstimate) -> tuple[str, ...]:
    bits = f"{estimate.bits_per_weight:.2f}" if estimate.bits_per_weight else "–"
    weights, cache = estimate.part(MemoryKind.WEIGHTS), estimate.part(MemoryKind.KV_CACHE)
    sizes = (memory(weights), memory(cache), memory(estimate.total_bytes), file_size(estimate.file_bytes))
    return (estimate.scheme_id, bits, *sizes, VERDICT_WORDS[estimate.verdict])


def _described(hardware: HardwareTarget) -> str:
    parts = [hardware.name]
    if hardware.device_bytes:
        parts.append(f"{memory(hardware.device_bytes)} of GPU memory")
    if hardware.ram_bytes:
        free = hardware.ram_available_bytes
        parts.append(f"{memory(hardware.ram_bytes)} of RAM" + (f" ({memory(free)} available)" if free else ""))
    return ", ".join(parts)


def _notes(checkpoint: Checkpoint, hardware: HardwareTarget, estimates: Sequence[MemoryEstimate]) -> dict[str, None]:
    """Sentences worth saying once, in order: of the model, of the hardware, of the rows."""
    parts = [part.note for estimate in estimates for part in estimate.parts if part.nbytes is not None]
    missing = [part.note for part in estimates[0].parts if part.kind is MemoryKind.KV_CACHE] if estimates else []
    return dict.fromkeys(note for note in (*checkpoint.notes, hardware.note, *missing, *parts) if note)
