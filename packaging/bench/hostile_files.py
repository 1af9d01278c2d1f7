"""Hostile GGUF files, and honest ones as large as the limits allow, opened in a child process: time and memory."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from quantgui.checkpoint.gguf_header import MAX_GGUF_TENSORS, MAX_KEPT_ARRAY, MAX_KEYS, MAX_STRINGS
from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event, Failed, Finished
from quantgui.jobs.job import ReadJob

NAME = "hostile-files"
HELP = "time and peak memory of a child that opens hostile GGUF files, and the largest that are let through"

GOALS = {"seconds": 2.0, "peak bytes": 200e6}
NEAR_2_63 = 2**63 - 1
MANY = 10_000_000
SPARSE_BYTES = 2**33
POLL_SECONDS = 0.002
_UINT8, _UINT32, _STRING, _ARRAY = 0, 4, 8, 9
_F32 = 0


def run(work: Path) -> dict[str, Any]:
    """Seconds, peak bytes and answer of each file, start of the child included, and the worst of all."""
    path, results = work / "model.gguf", {}
    for name, write in FILES.items():
        write(path)
        results[name] = measured(path)
        path.unlink()
    worst = {figure: max(result[figure] for result in results.values()) for figure in GOALS}
    return {"goals": GOALS, **results, "worst": worst}


def measured(path: Path) -> dict[str, Any]:
    """What a child that opens the file takes, and what it says."""
    started = time.perf_counter()
    child = ChildProcess(ReadJob(str(path)))
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(POLL_SECONDS):
            if child.pid is not None:
                try:
                    peak = max(peak, psutil.Process(child.pid).memory_info().rss)
                except psutil.Error:
                    return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        *_, event = child.events()
    finally:
        done.set()
        watcher.join()
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "peak bytes": peak, "answer": _answer(event).replace(path.name, "…")}


def _answer(event: Event) -> str:
    if isinstance(event, Failed):
        return event.message
    if not isinstance(event, Finished) or event.checkpoint is None:
        raise RuntimeError(f"the child did not answer: {event}")
    return f"opened: {len(event.checkpoint.tensors):,} tensors"


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _key(name: str, kind: int, payload: bytes) -> bytes:
    return _text(name) + struct.pack("<I", kind) + payload


def _array(kind: int, count: int, payload: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + payload


def _tensor(name: str, elements: int, offset: int) -> bytes:
    return _text(name) + struct.pack("<IQIQ", 1, elements, _F32, offset)


def _written(
    keys: bytes = b"",
    key_count: int = 0,
    tensors: bytes = b"",
    tensor_count: int = 0,
    data: int = 0,
    magic: bytes = b"GGUF",
) -> Callable[[Path], None]:
    """Writes a file whose counts may lie; its `data` bytes of zeros behind the header take no room on the disk."""

    def write(path: Path) -> None:
        header = magic + struct.pack("<IQQ", 3, tensor_count, key_count) + keys + tensors
        path.write_bytes(header + bytes(-len(header) % 32))
        with path.open("r+b") as stream:
            stream.truncate(path.stat().st_size + data)

    return write


def _many_keys(path: Path) -> None:
    """Keys that are really there: 200 MB of them."""
    with path.open("wb") as stream:
        stream.write(b"GGUF" + struct.pack("<IQQ", 3, 0, MANY))
        for start in range(0, MANY, 100_000):
            stream.write(b"".join(_key(f"{n:07}", _UINT8, b"\0") for n in range(start, start + 100_000)))


def _largest(path: Path) -> None:
    """As many keys, texts and tensors as are let through."""
    numbers = _array(_UINT32, MAX_KEPT_ARRAY, bytes(4 * MAX_KEPT_ARRAY))
    keys = [_key(f"numbers.{n}", _ARRAY, numbers) for n in range(MAX_KEYS - 2)]
    keys.append(_key("general.architecture", _STRING, _text("llama")))
    keys.append(_key("tokens", _ARRAY, _array(_STRING, MAX_STRINGS, _text("ab") * MAX_STRINGS)))
    tensors = b"".join(_tensor(f"blk.{n}.attn_q.weight", 8, 32 * n) for n in range(MAX_GGUF_TENSORS))
    _written(b"".join(keys), len(keys), tensors, MAX_GGUF_TENSORS, 32 * MAX_GGUF_TENSORS)(path)


def _overlapping() -> bytes:
    return b"".join(_tensor(f"t{n}", 1024, 32 * n) for n in range(MAX_GGUF_TENSORS))


FILES: dict[str, Callable[[Path], None]] = {
    "wrong magic": _written(magic=b"GGML", data=SPARSE_BYTES),
    "zeros": _written(magic=b"\0\0\0\0", data=SPARSE_BYTES),
    "keys near 2^63": _written(key_count=NEAR_2_63, data=SPARSE_BYTES),
    "tensors near 2^63": _written(tensor_count=NEAR_2_63, data=SPARSE_BYTES),
    "ten million keys, claimed": _written(key_count=MANY, data=SPARSE_BYTES),
    "ten million keys, there": _many_keys,
    "text near 2^63": _written(_key("a", _STRING, struct.pack("<Q", NEAR_2_63)), 1, data=SPARSE_BYTES),
    "text of 8 GB": _written(_key("a", _STRING, struct.pack("<Q", SPARSE_BYTES)), 1, data=SPARSE_BYTES),
    "array near 2^63": _written(_key("a", _ARRAY, _array(_UINT8, NEAR_2_63)), 1, data=SPARSE_BYTES),
    "texts near 2^63": _written(_key("a", _ARRAY, _array(_STRING, NEAR_2_63)), 1, data=SPARSE_BYTES),
    "empty texts in 8 GB": _written(_key("a", _ARRAY, _array(_STRING, SPARSE_BYTES // 8)), 1, data=SPARSE_BYTES),
    "as many empty texts as a vocabulary has": _written(
        _key("a", _ARRAY, _array(_STRING, MAX_STRINGS)), 1, data=SPARSE_BYTES
    ),
    "arrays in arrays": _written(_key("a", _ARRAY, _array(_ARRAY, 1) * 1_000_000), 1, data=SPARSE_BYTES),
    "the same key again and again": _written(_key("a", _UINT8, b"\0") * MAX_KEYS, MAX_KEYS),
    "the same tensor again and again": _written(
        tensors=_tensor("a", 8, 0) * MAX_GGUF_TENSORS, tensor_count=MAX_GGUF_TENSORS, data=SPARSE_BYTES
    ),
    "tensors over each other": _written(tensors=_overlapping(), tensor_count=MAX_GGUF_TENSORS, data=SPARSE_BYTES),
    "tensor near 2^63": _written(tensors=_tensor("a", NEAR_2_63, 0), tensor_count=1, data=SPARSE_BYTES),
    "tensor behind the end": _written(tensors=_tensor("a", 8, SPARSE_BYTES), tensor_count=1, data=SPARSE_BYTES),
    "the largest header that is let through": _largest,
}
"""What to write, by what is wrong with it. All but two take little room on a disk that stores no zeros."""
