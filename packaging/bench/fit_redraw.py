"""How long a change of the context takes until every row of the fit table is known again: one frame is 16 ms."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

NAME = "fit-redraw"
HELP = "all rows of a 400-tensor model after a change of context; must stay under 16 ms"
REPEATS = 200


def run(work: Path) -> dict[str, object]:
    """First pass (a model was picked) and later passes (a slider moves), in milliseconds. `work` is not needed."""
    from quantgui.checkpoint.catalogue import find_entry
    from quantgui.fit.estimate import estimate_all
    from quantgui.fit.settings import FitSettings
    from quantgui.hardware.catalogue import target

    checkpoint = find_entry("Qwen/Qwen3-4B").checkpoint()
    hardware = target("RTX 3060")
    first = _milliseconds(lambda: estimate_all(checkpoint, hardware, FitSettings(1024)))
    later = sorted(
        _milliseconds(lambda n=n: estimate_all(checkpoint, hardware, FitSettings(1024 + n))) for n in range(REPEATS)
    )
    return {
        "tensors": len(checkpoint.tensors),
        "rows": len(estimate_all(checkpoint, hardware)),
        "first_ms": round(first, 2),
        "median_ms": round(statistics.median(later), 3),
        "p99_ms": round(later[int(0.99 * REPEATS)], 3),
        "ok": later[int(0.99 * REPEATS)] < 16,
    }


def _milliseconds(call: object) -> float:
    assert callable(call)
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)
