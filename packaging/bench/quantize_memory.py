"""Memory of the child while it quantizes a model that is large against its largest tensor."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event, Finished, MemorySample
from quantgui.jobs.job import QuantizeJob
from quantgui.schemes.recipe import Recipe, SchemeSpec

NAME = "quantize-memory"
HELP = "peak anonymous memory of the child on a generated 4 GB sharded model, and its throughput"

HIDDEN, MLP, KEYS, VOCABULARY, LAYERS, SHARDS = 4096, 14336, 1024, 32000, 9, 4
ALLOWED_TENSORS = 4
"""The bound to keep: base after imports + this many times the largest tensor."""


def _shapes() -> dict[str, tuple[int, int]]:
    shapes = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN)}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        for name, rows, columns in (
            ("self_attn.q_proj", HIDDEN, HIDDEN),
            ("self_attn.k_proj", KEYS, HIDDEN),
            ("self_attn.v_proj", KEYS, HIDDEN),
            ("self_attn.o_proj", HIDDEN, HIDDEN),
            ("mlp.gate_proj", MLP, HIDDEN),
            ("mlp.up_proj", MLP, HIDDEN),
            ("mlp.down_proj", HIDDEN, MLP),
        ):
            shapes[f"{prefix}.{name}.weight"] = (rows, columns)
    return shapes


def _write_model(folder: Path) -> int:
    """A sharded BF16 Llama of random weights; returns the bytes of its largest tensor."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    block = (random.normal(0, 0.02, 1 << 22).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    names = list(_shapes().items())
    weight_map = {}
    for shard in range(SHARDS):
        file = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        header, offset = {}, 0
        for name, shape in names[shard::SHARDS]:
            size = 2 * shape[0] * shape[1]
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
            weight_map[name] = file
            offset += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with (folder / file).open("wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            for start in range(0, offset, len(block)):
                stream.write(block[: min(len(block), offset - start)])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": HIDDEN,
        "vocab_size": VOCABULARY,
    }
    config |= {
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return max(2 * rows * columns for rows, columns in _shapes().values())


def run(work: Path) -> dict[str, Any]:
    """Quantizes the model to INT4 and INT8 and reports memory and speed of each."""
    largest = _write_model(work / "model")
    total = sum(2 * rows * columns for rows, columns in _shapes().values())
    results: dict[str, Any] = {"model_bytes": total, "largest_tensor_bytes": largest}
    for scheme in ("INT4", "INT8"):
        job = QuantizeJob(str(work / "model"), str(work / scheme), Recipe(SchemeSpec(scheme)), verify=False)
        samples: list[int] = []
        event: Event | None = None
        started = time.perf_counter()
        for event in ChildProcess(job).events():
            if isinstance(event, MemorySample) and event.anonymous_bytes is not None:
                samples.append(event.anonymous_bytes)
        seconds = time.perf_counter() - started
        if not isinstance(event, Finished):
            raise RuntimeError(f"the run did not finish: {event}")
        results[scheme] = {
            "seconds": round(seconds, 1),
            "million_weights_per_second": round(total / 2 / seconds / 1e6, 1),
            "base_bytes": samples[0],
            "peak_bytes": max(samples),
            "above_base_in_largest_tensors": round((max(samples) - samples[0]) / largest, 3),
            "allowed_above_base_in_largest_tensors": ALLOWED_TENSORS,
        }
    return results
