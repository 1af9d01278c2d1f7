"""Promises about the start: nothing heavy is imported, and signals can be sent without end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PySide6.QtCore import QObject, Signal

HEAVY = ("torch", "transformers", "compressed_tensors", "optimum", "accelerate", "safetensors", "pyqtgraph")
START = f"""
import sys
from pathlib import Path
from quantgui.gui.application import build
app, window, state = build(Path(sys.argv[1]))
window.show()
state.restore()
while state.checkpoint is None or state.checkpoint_busy:
    app.processEvents()
print(*(name for name in {HEAVY!r} if name in sys.modules))
state.close()
"""


def test_the_window_opens_on_the_bundled_model_without_heavy_imports(tmp_path: Path) -> None:
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


class _Emitter(QObject):
    said = Signal(bool)


def test_five_thousand_emits_leave_the_interpreter_whole(qtbot) -> None:
    """PySide6 6.12.0 drops a reference to True with every emit; the interpreter dies after some hundred."""
    emitter, heard = _Emitter(), []
    emitter.said.connect(heard.append)
    for _ in range(5000):
        emitter.said.emit(True)
    assert heard == [True] * 5000
