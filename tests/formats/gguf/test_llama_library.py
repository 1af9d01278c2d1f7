"""Where ggml's kernels come from."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from quantgui.formats.gguf import llama_library
from quantgui.formats.gguf.kernels import ggml
from quantgui.types import UserError


@pytest.fixture(autouse=True)
def forgotten():
    yield
    llama_library.ggml_of_whisper.cache_clear()
    ggml.ggml_library.cache_clear()


class Package:
    """The file of an installed package."""

    def __init__(self, path: Path) -> None:
        self.name, self._path = path.name, path

    def locate(self) -> Path:
        return self._path


def install(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Makes the file the whole of pywhispercpp."""
    llama_library.ggml_of_whisper.cache_clear()
    ggml.ggml_library.cache_clear()
    monkeypatch.setattr(metadata, "files", lambda name: [Package(path)])


def test_a_library_that_exports_nothing_is_passed_over(monkeypatch):
    found = llama_library.llama_library()
    monkeypatch.setattr(ggml, "llama_library", lambda: object())
    monkeypatch.setattr(ggml, "ggml_of_whisper", lambda: found)
    ggml.ggml_library.cache_clear()
    assert ggml.ggml_library() is found


def test_without_any_there_is_none(monkeypatch):
    def nothing():
        raise UserError("missing")

    monkeypatch.setattr(ggml, "llama_library", nothing)
    monkeypatch.setattr(ggml, "ggml_of_whisper", nothing)
    ggml.ggml_library.cache_clear()
    assert ggml.ggml_library() is None


def test_the_second_one_is_found_among_its_packages_files(monkeypatch, tmp_path):
    import xllamacpp.xllamacpp as extension

    library = tmp_path / ("ggml-base-0e27.dll" if sys.platform == "win32" else "libggml-base-0e27.so")
    library.symlink_to(str(extension.__file__))
    install(monkeypatch, library)
    assert llama_library.ggml_of_whisper().ggml_quantize_chunk


def test_a_damaged_library_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "libggml-base.so").write_bytes(b"not a library")
    install(monkeypatch, tmp_path / "libggml-base.so")
    with pytest.raises(UserError, match="not installed"):
        llama_library.ggml_of_whisper()
