from __future__ import annotations

from pathlib import Path

import pytest

from quantgui.checkpoint.resolve import resolve
from quantgui.types import SourceKind, UserError


def test_a_path_opens(tiny_llama_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(str(tiny_llama_folder)).kind is SourceKind.FOLDER
    monkeypatch.chdir(tiny_llama_folder.parent)
    assert resolve(tiny_llama_folder.name).path == str(tiny_llama_folder)


def test_the_bundled_model_opens() -> None:
    checkpoint = resolve("demo")
    assert checkpoint.name == "demo"
    assert checkpoint.kind is SourceKind.FOLDER
    assert checkpoint.config is not None
    assert checkpoint.config.model_type == "llama"


def test_an_id_of_the_catalogue_gives_shapes() -> None:
    checkpoint = resolve("meta-llama/Llama-3.1-70B-Instruct")
    assert checkpoint.kind is SourceKind.CONFIG
    assert 70e9 < checkpoint.parameters < 71e9


def test_a_downloaded_model_goes_before_the_catalogue(home: Path, tiny_llama_folder: Path) -> None:
    snapshot = home / "huggingface/hub/models--meta-llama--Llama-3.1-70B-Instruct/snapshots/abc"
    snapshot.parent.mkdir(parents=True)
    tiny_llama_folder.rename(snapshot)
    checkpoint = resolve("meta-llama/Llama-3.1-70B-Instruct")
    assert (checkpoint.kind, checkpoint.path) == (SourceKind.FOLDER, str(snapshot))


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(UserError, match="not in the catalogue") as caught:
        resolve("meta-llama/Llama-3.1-70B-Instuct")
    assert "meta-llama/Llama-3.1-70B-Instruct" in caught.value.hint


@pytest.mark.parametrize("reference", ["./absent", "/absent", "~/absent", "absent.safetensors", "absent.gguf"])
def test_what_looks_like_a_path_is_not_searched_for(reference: str) -> None:
    with pytest.raises(UserError, match="There is nothing at"):
        resolve(reference)


@pytest.mark.parametrize("reference", ["", " ", "a\0b", "x" * 10_000])
def test_nonsense_is_one_clear_sentence(reference: str) -> None:
    with pytest.raises(UserError):
        resolve(reference)
