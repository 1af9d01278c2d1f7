"""One pass from a Hugging Face folder to a quantized GGUF file, beside the usual two passes through an F16 file.

Both begin with the same program: the first of the two passes is our own conversion to F16. The second is llama.cpp's
llama-quantize where cyllama brings it (`pip install --no-deps cyllama==0.2.18`), else ggml's kernels in threads.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from quantgui.checkpoint.gguf_header import read_gguf
from quantgui.formats.gguf.file_types import file_type
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
LLAMA_QUANTIZE = """
import sys
from cyllama.llama.llama_cpp import LlamaModelQuantizeParams, model_quantize

source, output, number, threads = sys.argv[1:]
parameters = LlamaModelQuantizeParams()
parameters.ftype, parameters.nthread = int(number), int(threads)
model_quantize(source, output, parameters)
"""
"""A process that quantizes an F16 file as llama-quantize does."""


def run(work: Path) -> dict[str, Any]:
    """Each type by one pass and by two; the F16 file is made once, and its cost is counted each time."""
    weights = write_model(work / "model")
    second_pass = _llama_quantize if importlib.util.find_spec("cyllama") else _kernels_in_threads
    results: dict[str, Any] = {"weights": weights, "source_bytes": 2 * weights, "goals": GOALS}
    results["second pass"] = second_pass.__name__.strip("_")
    f16, first = _one_pass(work, FIRST_PASS)
    results[FIRST_PASS] = first
    for name in TYPES:
        path, one = _one_pass(work, name)
        second = second_pass(f16, path, work / "two.gguf", name)
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


def _llama_quantize(f16: Path, like: Path, out: Path, name: str) -> dict[str, float]:
    """llama.cpp's own second pass, in a process of its own. Raises RuntimeError where its file has another size."""
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", LLAMA_QUANTIZE, str(f16), str(out), str(file_type(name).id), str(_threads())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"llama-quantize failed: {done.stderr[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    used = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": cpu}
    _check_tensors(like, out)
    out.unlink()
    return used


def _check_tensors(ours: Path, theirs: Path) -> None:
    """The two ways must have done the same work. Raises RuntimeError where a tensor has another type."""
    found, expected = ({tensor.name: tensor.dtype for tensor in read_gguf(path).tensors} for path in (ours, theirs))
    if found != expected:
        raise RuntimeError(f"other types: {set(found.items()) ^ set(expected.items())}")


def _kernels_in_threads(f16: Path, like: Path, out: Path, name: str) -> dict[str, float]:
    """What llama-quantize does with an F16 file: ggml's kernels, chunk by chunk, into the types of the file `like`."""
    library = ggml.ggml_library()
    if library is None:
        raise RuntimeError(f"{name} needs xllamacpp")
    sources = {tensor.name: tensor for tensor in read_gguf(f16).tensors}
    wall, cpu = time.perf_counter(), time.process_time()
    data = np.memmap(f16, np.uint8, "r")
    with out.open("wb") as stream, ThreadPoolExecutor(_threads()) as pool:
        for tensor in read_gguf(like).tensors:
            for blocks in pool.map(lambda rows: _quantize(library, *rows), _chunks(data, sources[tensor.name], tensor)):
                stream.write(blocks.data)
    used = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    out.unlink()
    return used


def _threads() -> int:
    return psutil.cpu_count(logical=False) or 1


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
