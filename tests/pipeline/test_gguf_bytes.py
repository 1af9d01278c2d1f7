"""The tensors of our GGUF files are, byte by byte, those of llama-quantize: against digests recorded of its files.

`gguf_bytes.json` was recorded of files that `llama_model_quantize` of llama.cpp b9190 wrote on x86-64 (cyllama 0.2.18)
from an F32 file of the bundled model; `test_gguf_reference.py` makes them again where cyllama is installed. Types that
can do without an importance matrix are recorded of the whole model, and once more of its first layer with one. Slow
types are recorded of the first layer only; the whole model was compared once: in IQ1_M two blocks differ between two
builds of ggml itself, nowhere else does a byte. Building ggml's tables for IQ1 and IQ2 takes most of the time here.
"""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf.file_types import FILE_TYPES
from quantgui.formats.gguf.size import gguf_rows
from quantgui.formats.gguf.source import tensors_of
from quantgui.resource_files import resource
from tests.pipeline.gguf_bytes import LAYERS, Case, convert, digest, first_layers, recorded, write_importance_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64"), reason="other processors fuse operations"
    ),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders by their number of layers."""
    return {LAYERS: resource("demo_model"), 1: first_layers(tmp_path_factory.mktemp("models") / "one", 1)}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tensors = tensors_of(open_checkpoint(resource("demo_model")))
    return write_importance_of(tmp_path_factory.mktemp("importance") / "matrix.gguf", tensors)


@pytest.mark.parametrize("case", recorded(), ids=str)
def test_the_bytes_are_those_of_the_reference(
    case: Case, sources: dict[int, Path], matrix: Path, tmp_path: Path
) -> None:
    path = convert(sources[case.layers], tmp_path / "x.gguf", case.type, matrix if case.weighted else None)
    assert digest(path) == case.sha256
    if not case.weighted:
        shown = {kind: size for kind, _, size in gguf_rows(open_checkpoint(sources[case.layers]))}
        assert path.stat().st_size == shown[case.type]


def test_every_type_is_recorded() -> None:
    assert {case.type for case in recorded()} == set(FILE_TYPES)
