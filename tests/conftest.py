"""What every test stands on: an empty home, no network, no display, tiny checkpoints, and no thread left behind."""

from __future__ import annotations

import json
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # forking after the tokenizer's threads started warns, and warnings fail

import numpy as np
import pytest
from safetensors.numpy import save_file

TINY_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 96,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
}
"""A Llama of 2 layers: every linear width is a multiple of 32, keys and values are narrower than queries."""

THREAD_GRACE_MS = 3000
_qthreads: weakref.WeakSet[Any] = weakref.WeakSet()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for settings, logs and runs, so that no test sees or changes those of the person."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("QUANTGUI_HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder / "huggingface"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    return folder


def tiny_llama_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """The weights of `TINY_CONFIG` by their Hugging Face names, F32, normal with a spread of 0.02; norms are ones."""
    random = np.random.default_rng(seed)
    hidden, mlp, keys = 64, 128, 32

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, 0.02, (rows, columns)).astype(np.float32)

    tensors = {"model.embed_tokens.weight": matrix(96, hidden)}
    for layer in range(2):
        prefix = f"model.layers.{layer}"
        for name, rows, columns in (
            ("self_attn.q_proj", hidden, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, hidden),
            ("mlp.gate_proj", mlp, hidden),
            ("mlp.up_proj", mlp, hidden),
            ("mlp.down_proj", hidden, mlp),
        ):
            tensors[f"{prefix}.{name}.weight"] = matrix(rows, columns)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}.{name}.weight"] = np.ones(hidden, np.float32)
    tensors["model.norm.weight"] = np.ones(hidden, np.float32)
    return tensors


def to_bf16_bits(values: np.ndarray) -> np.ndarray:
    """The upper halves of F32 values as U16, rounded to nearest even: the bits of BF16, which numpy does not have."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def save_safetensors(path: Path, tensors: dict[str, np.ndarray], dtype: str = "F32") -> None:
    """Write `tensors` to `path` as safetensors; `dtype` is "F32", "F16" or "BF16"."""
    if dtype == "F32":
        save_file({name: value.astype(np.float32) for name, value in tensors.items()}, path)
    elif dtype == "F16":
        save_file({name: value.astype(np.float16) for name, value in tensors.items()}, path)
    else:
        header: dict[str, Any] = {}
        blobs, offset = [], 0
        for name, value in tensors.items():
            blob = to_bf16_bits(value).tobytes()
            span = [offset, offset + len(blob)]
            header[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": span}
            blobs.append(blob)
            offset += len(blob)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def write_checkpoint(
    folder: Path, tensors: dict[str, np.ndarray], config: dict[str, Any], *, dtype: str = "F32", shards: int = 1
) -> Path:
    """A Hugging Face folder with `config.json` and one safetensors file, or several with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config | {"torch_dtype": names[dtype]}))
    if shards == 1:
        save_safetensors(folder / "model.safetensors", tensors, dtype)
        return folder
    weight_map: dict[str, str] = {}
    for index in range(shards):
        file = f"model-{index + 1:05d}-of-{shards:05d}.safetensors"
        part = dict(list(tensors.items())[index::shards])
        save_safetensors(folder / file, part, dtype)
        weight_map |= dict.fromkeys(part, file)
    total = sum(value.size for value in tensors.values()) * (4 if dtype == "F32" else 2)
    index_json = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index_json))
    return folder


@pytest.fixture
def make_llama(tmp_path: Path) -> Callable[..., Path]:
    """`make_llama(name="llama", dtype="F32", shards=1, seed=0, tensors=None, **config)` writes a tiny Llama folder."""

    def make(
        name: str = "llama",
        *,
        dtype: str = "F32",
        shards: int = 1,
        seed: int = 0,
        tensors: dict[str, np.ndarray] | None = None,
        **config: Any,
    ) -> Path:
        weights = tiny_llama_tensors(seed) if tensors is None else tensors
        return write_checkpoint(tmp_path / name, weights, TINY_CONFIG | config, dtype=dtype, shards=shards)

    return make


@pytest.fixture
def tiny_llama_folder(make_llama: Callable[..., Path]) -> Path:
    """A Llama of 2 layers in F32, one file."""
    return make_llama()


@pytest.fixture
def tiny_llama_bf16(make_llama: Callable[..., Path]) -> Path:
    """The same in BF16."""
    return make_llama("llama-bf16", dtype="BF16")


@pytest.fixture
def tiny_llama_sharded(make_llama: Callable[..., Path]) -> Path:
    """The same in three shards with an index."""
    return make_llama("llama-sharded", shards=3)


@pytest.fixture(scope="session", autouse=True)
def _remember_qthreads() -> Iterator[None]:
    """Record every QThread that starts; `no_thread_left` asks them whether they ended."""
    from PySide6.QtCore import QThread

    start = QThread.start

    def recording_start(thread: QThread, *args: Any) -> None:
        _qthreads.add(thread)
        start(thread, *args)

    QThread.start = recording_start  # type: ignore[method-assign]
    yield
    QThread.start = start  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Fail a test after which a thread it started is still running."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]
    for thread in left:
        thread.join(THREAD_GRACE_MS / 1000)
    alive = [repr(thread) for thread in left if thread.is_alive()]
    alive += [f"{type(thread).__name__}()" for thread in list(_qthreads) if _still_runs(thread)]
    assert not alive, f"threads still running after the test: {', '.join(alive)}"


def _still_runs(thread: Any) -> bool:
    if "shiboken6" not in sys.modules or not sys.modules["shiboken6"].isValid(thread):
        return False
    return thread.isRunning() and not thread.wait(THREAD_GRACE_MS)
