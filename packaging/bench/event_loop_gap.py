"""How long the window keeps a person waiting while a job runs: gaps of its event loop, and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

NAME = "event-loop-gap"
HELP = "99th percentile gap of the event loop while a generated model of 1,082 tensors is quantized; the goal is 50 ms"

LAYERS, HIDDEN, MLP = 120, 256, 1024
TICK_MS = 1
PAGES = ("run", "inspect")


def run(work: Path) -> dict[str, Any]:
    """Quantizes the model once per page that shows it live, each in a window of its own process."""
    write_model(work / "model")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QUANTGUI_HOME": str(work / "home")}
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    results = {}
    for page in PAGES:
        command = [sys.executable, __file__, str(work), page]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        results[page] = json.loads(done.stdout.splitlines()[-1])
    return results


def write_model(folder: Path) -> None:
    """A BF16 Llama of many layers in one file, all its matrices made of the same random numbers."""
    folder.mkdir(parents=True)
    attention = {f"self_attn.{name}_proj": (HIDDEN, HIDDEN) for name in "qkvo"}
    mlp = {"mlp.gate_proj": (MLP, HIDDEN), "mlp.up_proj": (MLP, HIDDEN), "mlp.down_proj": (HIDDEN, MLP)}
    norms = {"input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,)}
    shapes = {"model.embed_tokens.weight": (4096, HIDDEN), "model.norm.weight": (HIDDEN,)}
    for layer in range(LAYERS):
        shapes |= {f"model.layers.{layer}.{n}.weight": shape for n, shape in (attention | mlp | norms).items()}
    random = np.random.default_rng(0).normal(0, 0.02, 4096 * HIDDEN).astype(np.float32)
    data = (random.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for shape in shapes.values():
            file.write(data[: 2 * int(np.prod(shape))])
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": HIDDEN, "vocab_size": 4096}
    config |= {
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
    }
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))


def measure(work: Path, page: str) -> dict[str, Any]:
    """Gaps between ticks of the event loop from the press on Quantize to the end of the job, with `page` in sight."""
    import psutil
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    from quantgui.gui.application import build
    from quantgui.jobs.events import Finished

    app, window, state = build(work / "home")
    window.show()
    loop = QEventLoop()
    state.fit_changed.connect(lambda: loop.quit() if state.checkpoint is not None else None)
    state.restore()
    state.open_model(str(work / "model"))
    loop.exec()
    for shown in PAGES:  # made before the job, as after some minutes of work
        window.show_page(shown)
        app.processEvents()
    window.show_page(page)
    app.processEvents()
    process = psutil.Process()
    before = process.memory_info().rss
    ticks: list[float] = []
    timer = QTimer(interval=TICK_MS)
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    state.runs_changed.connect(lambda: None if state.is_running else loop.quit())
    timer.start()
    state.start_quantize(str(work / f"out-{page}"), verify=False)
    loop.exec()
    timer.stop()
    run_state = state.run
    assert run_state is not None
    if not isinstance(run_state.outcome, Finished):
        raise RuntimeError(f"the run did not finish: {run_state.outcome}")
    gaps = np.diff(np.array(ticks)) * 1000
    result = {
        "tensors": len(run_state.reports),
        "seconds": round(ticks[-1] - ticks[0], 2),
        "gap_ms_median": round(float(np.median(gaps)), 2),
        "gap_ms_99th": round(float(np.percentile(gaps, 99)), 2),
        "gap_ms_worst": round(float(gaps.max()), 2),
        "time_in_gaps_over_50_ms": round(float(gaps[gaps > 50].sum() / gaps.sum()), 4),
        "gui_memory_before_bytes": before,
        "gui_memory_after_bytes": process.memory_info().rss,
        "torch_in_the_window": "torch" in sys.modules,
    }
    state.close()
    return result


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2])))
