"""One pass from a Hugging Face folder to a quantized GGUF file, beside the usual two passes through an F16 file."""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from quantgui.checkpoint.gguf_header import read_gguf
from quantgui.formats.gguf.kernels import ggml
from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event, Finished, MemorySample
from quantgui.jobs.job import QuantizeJob
from quantgui.resource_files import resource as resource_path
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import TensorInfo

NAME = "gguf-speed"
HELP = "wall, CPU, memory and bytes of one pass to GGUF on 1.24 billion weights, beside two passes with ggml's kernels"

TYPES = ("Q8_0", "Q4_0", "Q4_K_M", "Q6_K", "Q2_K")
FIRST_PASS = "GGUF-F16"
HIDDEN, MLP, HEADS, KV_HEADS, HEAD, VOCABULARY, LAYERS = 2048, 8192, 32, 8, 64, 128256, 16
"""The shape of Llama-3.2-1B."""
CHUNK = 1 << 20
"""Weights that the second of the two passes quantizes at once, per thread."""
GOALS = {"wall of two passes": 0.5, "peak bytes": 1e9}


def run(work: Path) -> dict[str, Any]:
    """Each type by one pass and by two; the F16 file is made once, and its cost is counted each time."""
    weights = write_model(work / "model")
    results: dict[str, Any] = {"weights": weights, "source_bytes": 2 * weights, "goals": GOALS}
    f16, first = _one_pass(work, FIRST_PASS)
    results[FIRST_PASS] = first
    for name in TYPES:
        path, one = _one_pass(work, name)
        second = _second_pass(f16, path, work / "two.gguf")
        two = {key: round(first[key] + second[key], 1) for key in ("wall_seconds", "cpu_seconds")}
        two["read_bytes"] = 2 * weights + f16.stat().st_size
        two["written_bytes"] = f16.stat().st_size + path.stat().st_size
        results[name] = {"one pass": one, "two passes": two, "wall_ratio": one["wall_seconds"] / two["wall_seconds"]}
        path.unlink()
    return results


def write_model(folder: Path, layers: int = LAYERS) -> int:
    """A BF16 Llama of random weights with the demo model's tokenizer; returns its number of weights."""
    folder.mkdir(parents=True)
    shapes = dict(_shapes(layers))
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = np.random.default_rng(0)
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, offset, 2 * CHUNK):
            values = random.normal(0, 0.02, CHUNK).astype(np.float32)
            bits = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
            stream.write(bits[: offset - start])
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(resource_path("demo_model", name), folder / name)
    config = json.loads(resource_path("demo_model", "config.json").read_text(encoding="utf-8"))
    config |= {"hidden_size": HIDDEN, "intermediate_size": MLP, "num_attention_heads": HEADS, "head_dim": HEAD}
    config |= {"num_key_value_heads": KV_HEADS, "vocab_size": VOCABULARY, "num_hidden_layers": layers}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return offset // 2


def _shapes(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    yield "model.norm.weight", (HIDDEN,)
    for layer in range(layers):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.self_attn.q_proj.weight", (HEADS * HEAD, HIDDEN)
        yield f"{prefix}.self_attn.k_proj.weight", (KV_HEADS * HEAD, HIDDEN)
        yield f"{prefix}.self_attn.v_proj.weight", (KV_HEADS * HEAD, HIDDEN)
        yield f"{prefix}.self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD)
        yield f"{prefix}.mlp.gate_proj.weight", (MLP, HIDDEN)
        yield f"{prefix}.mlp.up_proj.weight", (MLP, HIDDEN)
        yield f"{prefix}.mlp.down_proj.weight", (HIDDEN, MLP)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}.{norm}.weight", (HIDDEN,)


def _one_pass(work: Path, scheme: str) -> tuple[Path, dict[str, Any]]:
    """The file and the costs of a child process that writes it, start and statistics of every tensor included."""
    path = work / f"{scheme}.gguf"
    job = QuantizeJob(str(work / "model"), str(path), Recipe(SchemeSpec(scheme)), verify=False)
    peak, before = 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    event: Event | None = None
    started = time.perf_counter()
    for event in ChildProcess(job).events():
        if isinstance(event, MemorySample):
            peak = max(peak, event.anonymous_bytes or 0)
    seconds = time.perf_counter() - started
    if not isinstance(event, Finished):
        raise RuntimeError(f"the run did not finish: {event}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return path, {
        "wall_seconds": round(seconds, 1),
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_bytes": peak,
        "written_bytes": path.stat().st_size,
    }


def _second_pass(f16: Path, like: Path, out: Path) -> dict[str, float]:
    """What llama-quantize does with an F16 file: ggml's kernels, chunk by chunk, into the types of the file `like`."""
    library = ggml.ggml_library()
    if library is None:
        raise RuntimeError("it needs xllamacpp")
    sources = {tensor.name: tensor for tensor in read_gguf(f16).tensors}
    wall, cpu = time.perf_counter(), time.process_time()
    data = np.memmap(f16, np.uint8, "r")
    with out.open("wb") as stream, ThreadPoolExecutor(psutil.cpu_count(logical=False) or 1) as pool:
        for tensor in read_gguf(like).tensors:
            for blocks in pool.map(lambda rows: _quantize(library, *rows), _chunks(data, sources[tensor.name], tensor)):
                stream.write(blocks.data)
    used = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    out.unlink()
    return used


def _chunks(data: np.ndarray, source: TensorInfo, wanted: TensorInfo) -> Iterator[tuple[str, np.ndarray]]:
    """Stored rows of a tensor, some at a time, with the type that they become."""
    stored = data[source.offset : source.offset + source.nbytes].view(
        np.float16 if source.dtype == "F16" else np.float32
    )
    rows = stored.reshape(-1, source.shape[-1])
    step = max(1, CHUNK // rows.shape[1])
    for start in range(0, len(rows), step):
        yield wanted.dtype, rows[start : start + step]


def _quantize(library: Any, kind: str, rows: np.ndarray) -> np.ndarray:
    values = rows.astype(np.float32)
    out = np.empty((len(rows), BY_NAME[kind].nbytes(rows.shape[1])), np.uint8)
    ggml.quantize(library, BY_NAME[kind], values, None, out)
    return out
