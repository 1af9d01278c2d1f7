"""What the tests of the bytes of GGUF files share: the cases, their source, and the digest of a file's tensors."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantgui.checkpoint.gguf_header import read_gguf
from quantgui.formats.gguf.imatrix import ImportanceMatrix, TensorImportance, write_imatrix
from quantgui.formats.gguf.names import GgufTensor
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import run
from quantgui.resource_files import resource
from quantgui.schemes.recipe import Recipe, SchemeSpec

LAYERS = 6
"""Of the bundled model."""


@dataclass(frozen=True)
class Case:
    """One recorded file: of the first `layers` of the bundled model, with or without the importance of `importance`."""

    type: str
    layers: int
    weighted: bool
    sha256: str

    def __str__(self) -> str:
        return f"{self.type}{' weighted' if self.weighted else ''}, {self.layers} layers"


def recorded() -> list[Case]:
    """The cases of gguf_bytes.json."""
    text = Path(__file__).with_name("gguf_bytes.json").read_text(encoding="utf-8")
    return [Case(**entry) for entry in json.loads(text)]


def importance(columns: int) -> np.ndarray:
    """Random weights float32 [columns] of the squared errors; every tensor of this width has the same."""
    return np.random.default_rng(columns).random(columns).astype(np.float32) + np.float32(0.01)


def write_importance_of(path: Path, tensors: tuple[GgufTensor, ...]) -> Path:
    """`importance` for every matrix inside the layers, as an importance matrix."""
    one = np.ones(1, np.float32)
    matrices = [tensor for tensor in tensors if tensor.layer is not None and len(tensor.shape) == 2]
    entries = {tensor.name: TensorImportance(importance(tensor.shape[-1])[None], one) for tensor in matrices}
    write_imatrix(path, ImportanceMatrix(entries, "text.txt", 1, 32))
    return path


def first_layers(folder: Path, layers: int) -> Path:
    """The bundled model without the layers behind the first few."""
    from safetensors.torch import load_file, save_file

    source = resource("demo_model")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder / name)
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}), encoding="utf-8")
    left_out = tuple(f"model.layers.{layer}." for layer in range(layers, LAYERS))
    tensors = load_file(source / "model.safetensors")
    save_file({name: t for name, t in tensors.items() if not name.startswith(left_out)}, folder / "model.safetensors")
    return folder


def convert(source: Path, output: Path, type_name: str, matrix: Path | None = None) -> Path:
    """The file that our one pass writes."""
    scheme = f"GGUF-{type_name}" if type_name in ("F32", "F16", "BF16") else type_name
    recipe = Recipe(SchemeSpec(scheme, {"imatrix": str(matrix)} if matrix else {}))
    run(QuantizeJob(str(source), str(output), recipe, verify=False), lambda event: None)
    return output


def digest(path: Path) -> str:
    """SHA-256 over all of a file behind its keys: name, type, shape, place and bytes of each tensor, and the length."""
    tensors = sorted(read_gguf(path).tensors, key=lambda tensor: tensor.offset)
    data = np.memmap(path, np.uint8, "r")
    start, found = tensors[0].offset, hashlib.sha256()
    for tensor in tensors:
        found.update(f"{tensor.name} {tensor.dtype} {tensor.shape} {tensor.offset - start}\n".encode())
        found.update(data[tensor.offset : tensor.offset + tensor.nbytes].tobytes())
    found.update(f"{len(data) - start}\n".encode())
    return found.hexdigest()
