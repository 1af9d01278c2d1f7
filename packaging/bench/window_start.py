"""Start to window: from a new interpreter to a painted first page, and what it imported on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

NAME = "window-start"
HELP = "seconds from starting the interpreter to the painted window; the goal is 1.5 s warm"
RUNS = 5

SCRIPT = """
import json, sys, time
started = float(sys.argv[1])
from quantgui.gui.application import build
app, window, state = build()
window.show()
app.processEvents()
window.grab()
seconds = time.time() - started
state.close()
heavy = [name for name in ("torch", "transformers", "compressed_tensors", "scipy") if name in sys.modules]
import psutil
print(json.dumps({"seconds": seconds, "modules": len(sys.modules), "heavy": heavy,
                  "rss": psutil.Process().memory_info().rss}))
"""


def run(work: Path) -> dict[str, Any]:
    """Median over warm starts; the first one, which fills the file cache, is reported by itself."""
    starts = [_start(work / str(index)) for index in range(RUNS + 1)]
    warm = starts[1:]
    return {
        "first_seconds": starts[0]["seconds"],
        "warm_seconds": median(start["seconds"] for start in warm),
        "slowest_warm_seconds": max(start["seconds"] for start in warm),
        "rss_bytes": warm[-1]["rss"],
        "modules": warm[-1]["modules"],
        "heavy_imports": warm[-1]["heavy"],
    }


def _start(home: Path) -> dict[str, Any]:
    import time

    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QUANTGUI_HOME": str(home)}
    command = [sys.executable, "-c", SCRIPT, str(time.time())]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])
