"""How long a change of the context takes until the whole fit table is on the screen again: one frame is 16 ms."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

NAME = "fit-redraw"
HELP = "every row of a 400-tensor model estimated and painted after a change of context; must stay under 16 ms"
MODEL, HARDWARE = "Qwen/Qwen3-4B", "RTX 3060"
REPEATS = 200
FRAME_MS = 16


def run(work: Path) -> dict[str, object]:
    """Estimates alone, and with the page around them (offscreen, 1280 x 800, all rows unfolded), in milliseconds.

    The verdict is of processor time: other programs on the machine do not make a frame longer than it is.
    """
    from quantgui.checkpoint.catalogue import find_entry
    from quantgui.fit.estimate import estimate_table
    from quantgui.fit.settings import FitSettings
    from quantgui.hardware.catalogue import target

    checkpoint, hardware = find_entry(MODEL).checkpoint(), target(HARDWARE)
    first = _milliseconds(lambda: estimate_table(checkpoint, hardware, FitSettings(1024)))
    estimates = _distribution(lambda n: estimate_table(checkpoint, hardware, FitSettings(1024 + n)))
    move = _page(work)
    page = _distribution(move)
    busy = _distribution(move, time.process_time)
    return {
        "tensors": len(checkpoint.tensors),
        "rows": len(estimate_table(checkpoint, hardware)),
        "first_estimate_ms": round(first, 1),
        "estimate_median_ms": round(statistics.median(estimates), 2),
        "redraw_median_ms": round(statistics.median(page), 2),
        "redraw_p99_ms": round(page[int(0.99 * REPEATS)], 2),
        "redraw_processor_median_ms": round(statistics.median(busy), 2),
        "ok": statistics.median(busy) < FRAME_MS,
    }


def _page(work: Path) -> Callable[[int], None]:
    """What moves the slider by one and paints the page at once."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from quantgui.gui.application import build
    from quantgui.gui.fit.groups import GGUF, HUGGING_FACE
    from quantgui.gui.fit.view import FitPage
    from quantgui.hardware.catalogue import target

    app, window, state = build(work)
    state.remember("fit.unfolded", f"{GGUF},{HUGGING_FACE}")
    state.choose_hardware(target(HARDWARE))
    state.open_model(MODEL)
    window.resize(1280, 800)
    window.show_page("fit")
    window.show()
    page = window.page("fit")
    assert isinstance(page, FitPage)
    while not state.estimates:
        app.processEvents()

    def move(number: int) -> None:
        state.change_fit(context=1024 + number)
        app.processEvents()

    return move


def _distribution(call: Callable[[int], object], clock: Callable[[], float] = time.perf_counter) -> list[float]:
    call(0)  # what is remembered per model
    return sorted(_milliseconds(lambda n=n: call(n), clock) for n in range(1, REPEATS + 1))


def _milliseconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    call()
    return 1000 * (clock() - started)
