"""How long opening a model takes: 1,000 tensors of safetensors and GGUF, with and without a real vocabulary's size."""

from __future__ import annotations

import json
import statistics
import struct
import time
from pathlib import Path

from quantgui.checkpoint import open_checkpoint

NAME = "header-speed"
HELP = "median time to open a model of 1,000 tensors (limit: 50 ms)"

TENSORS = 1000
REPEATS = 20
SHARDS = 20
ROWS, COLUMNS = 4, 8
VOCABULARY, MERGES = 128_256, 280_147
"""Llama 3's."""

_MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def run(work: Path) -> dict[str, float]:
    """Write the files into `work` and open each; medians in milliseconds. The first opening is not counted."""
    work.mkdir(parents=True, exist_ok=True)
    names = [f"model.layers.{i // 7}.{_MODULES[i % 7]}.weight" for i in range(TENSORS)]
    single, plain, full = work / "one.safetensors", work / "plain.gguf", work / "vocabulary.gguf"
    single.write_bytes(_safetensors(names))
    plain.write_bytes(_gguf(names, []))
    full.write_bytes(_gguf(names, _vocabulary()))
    return {
        "safetensors_ms": _median_ms(single),
        "safetensors_20_shards_ms": _median_ms(_sharded_folder(work / "sharded", names)),
        "gguf_ms": _median_ms(plain),
        "gguf_128k_vocabulary_ms": _median_ms(full),
    }


def _median_ms(path: Path) -> float:
    assert len(open_checkpoint(path).tensors) == TENSORS
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        open_checkpoint(path)
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 2)


def _safetensors(names: list[str]) -> bytes:
    size = 2 * ROWS * COLUMNS
    header = {
        name: {"dtype": "BF16", "shape": [ROWS, COLUMNS], "data_offsets": [i * size, (i + 1) * size]}
        for i, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(size * len(names))


def _sharded_folder(folder: Path, names: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    weight_map = {}
    for number in range(SHARDS):
        file = f"model-{number + 1:05d}-of-{SHARDS:05d}.safetensors"
        part = names[number::SHARDS]
        (folder / file).write_bytes(_safetensors(part))
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def _vocabulary() -> list[bytes]:
    """The two keys that dominate a GGUF header."""
    tokens = b"".join(_text(f"token{i}") for i in range(VOCABULARY))
    merges = b"".join(_text(f"left{i} right{i}") for i in range(MERGES))
    return [
        _text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, VOCABULARY) + tokens,
        _text("tokenizer.ggml.merges") + struct.pack("<IIQ", 9, 8, MERGES) + merges,
    ]


def _gguf(names: list[str], keys: list[bytes]) -> bytes:
    keys = [_text("general.architecture") + struct.pack("<I", 8) + _text("llama"), *keys]
    size = 2 * ROWS * COLUMNS  # F16; a multiple of the alignment, 32
    entries = [_text(name) + struct.pack("<IQQIQ", 2, COLUMNS, ROWS, 1, i * size) for i, name in enumerate(names)]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(names), len(keys)) + b"".join(keys) + b"".join(entries)
    return head + bytes(-len(head) % 32) + bytes(size * len(names))


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()
