"""llama.cpp's own quantization makes the bytes in `gguf_bytes.json`, which our files are compared with.

Optional: it needs cyllama 0.2.18 (`pip install --no-deps cyllama==0.2.18`), which no other part of this project uses.
Beside the checkout's environment: `pip install --no-deps --target FOLDER cyllama==0.2.18`, then
`PYTHONPATH=FOLDER pytest tests/pipeline/test_gguf_reference.py`.
"""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.file_types import file_type
from quantgui.formats.gguf.source import tensors_of
from quantgui.resource_files import resource
from tests.pipeline.gguf_bytes import LAYERS, Case, convert, digest, first_layers, importance, recorded

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("cyllama") is None, reason="cyllama is not installed"),
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="recorded on x86-64"),
]

QUANTIZE = """
import ctypes, struct, sys
import numpy as np
from cyllama.llama.llama_cpp import LlamaModelQuantizeParams, model_quantize

source, output, file_type, matrix = sys.argv[1:]

class Entry(ctypes.Structure):  # struct llama_model_imatrix_data
    _fields_ = [("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("size", ctypes.c_size_t)]

parameters = LlamaModelQuantizeParams()
parameters.nthread, parameters.ftype = 2, int(file_type)
if matrix:  # cyllama has no setter for it: the pointer behind the numbers and flags of llama_model_quantize_params
    values = dict(np.load(matrix))
    entries = (Entry * (len(values) + 1))()
    for entry, (name, array) in zip(entries, values.items()):
        entry.name, entry.data, entry.size = name.encode(), array.ctypes.data, array.size
    head = struct.pack("<4i", parameters.nthread, parameters.ftype, 42, 42)
    memory = ctypes.string_at(id(parameters), sys.getsizeof(parameters))
    at = memory.index(head) + 24
    assert memory.count(head) == 1 and memory[at : at + 8] == bytes(8)
    ctypes.c_void_p.from_address(id(parameters) + at).value = ctypes.addressof(entries)
model_quantize(source, output, parameters)
"""
"""In a process of its own, which a wrong pointer may end. Arguments: F32 file, output, file type, matrix or ""."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """F32 files by their number of layers: what llama-quantize starts from."""
    folder = tmp_path_factory.mktemp("sources")
    one = first_layers(folder / "one", 1)
    return {
        LAYERS: convert(resource("demo_model"), folder / "all.gguf", "F32"),
        1: convert(one, folder / "one.gguf", "F32"),
    }


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors = tensors_of(open_checkpoint(resource("demo_model")))
    matrices = [tensor for tensor in tensors if tensor.layer is not None and len(tensor.shape) == 2]
    path = tmp_path_factory.mktemp("importance") / "matrix.npz"
    values = {tensor.name: importance(tensor.shape[-1]) for tensor in matrices}
    np.savez(path, allow_pickle=False, **values)
    return path


@pytest.mark.parametrize("case", recorded(), ids=str)
def test_the_reference_makes_the_recorded_bytes(
    case: Case, sources: dict[int, Path], matrix: Path, tmp_path: Path
) -> None:
    output = tmp_path / "x.gguf"
    weights = str(matrix) if case.weighted else ""
    number = str(file_type(case.type).id)
    command = [sys.executable, "-c", QUANTIZE, str(sources[case.layers]), str(output), number, weights]
    subprocess.run(command, check=True, capture_output=True)
    assert digest(output) == case.sha256
