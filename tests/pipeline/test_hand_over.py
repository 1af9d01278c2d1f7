from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest

from quantgui.checkpoint.local_stores import MODEL_LAYER
from quantgui.jobs.job import HandOverJob, Program
from quantgui.pipeline.hand_over import hand_over
from quantgui.types import UserError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny-F32.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_chat_template("<|im_start|>" + "x" * 40_000 + "<|im_end|>")  # longer than a header keeps
    writer.add_tensor("output.weight", np.zeros((2, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def ignore(event: object) -> None:
    pass


def test_ollama_gets_a_modelfile_and_the_command(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    result = hand_over(HandOverJob(str(model), Program.OLLAMA), ignore)
    text = Path(result.path).read_text()
    assert result.path == f"{model}.Modelfile"
    assert "TEMPLATE" not in text and 'stop "<|im_end|>"' in text and "num_ctx 128" in text
    assert result.command == f"ollama create tiny-f32 -f {result.path}"


@pytest.mark.parametrize("change", [lambda text: "FROM mine\n", lambda text: text + "PARAMETER temperature 0.2\n"])
def test_a_modelfile_of_somebody_else_is_only_replaced_on_demand(
    change: Callable[[str], str], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    job = HandOverJob(str(model), Program.OLLAMA)
    ours = Path(hand_over(job, ignore).path)
    text = ours.read_text()
    hand_over(job, ignore)  # our own, as it was: nothing is lost
    ours.write_text(change(text))
    with pytest.raises(UserError, match="not as QuantGUI wrote it") as caught:
        hand_over(job, ignore)
    assert "--overwrite" in caught.value.hint and ours.read_text() == change(text)
    hand_over(replace(job, overwrite=True), ignore)
    assert ours.read_text() == text


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands in for the program")
@pytest.mark.parametrize("code", [0, 1])
def test_ollama_is_asked_where_it_is_installed(
    code: int, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ollama"
    program.write_text(f'#!/bin/sh\nprintf "%s " "$@" > {tmp_path}/asked\necho no server >&2\nexit {code}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    job = HandOverJob(str(model), Program.OLLAMA, "mine")
    if code:
        with pytest.raises(UserError, match="did not take") as caught:
            hand_over(job, ignore)
        assert "no server" in caught.value.details
    else:
        assert hand_over(job, ignore).command == "ollama run mine"
    assert (tmp_path / "asked").read_text() == f"create mine -f {model}.Modelfile "


def test_lm_studio_gets_the_file_once(model: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    job = HandOverJob(str(model), Program.LM_STUDIO, folder=str(models))
    with pytest.raises(UserError, match="not at"):
        hand_over(job, ignore)
    models.mkdir()
    assert Path(hand_over(job, ignore).path).read_bytes() == model.read_bytes()
    with pytest.raises(UserError, match="already"):
        hand_over(job, ignore)


@pytest.mark.skipif(sys.platform == "win32", reason="links take a privilege there")
def test_a_cache_of_links_is_left_as_it_is_and_lm_studio_gets_the_file_itself(
    model: Path, tmp_path: Path, person: Path
) -> None:
    blob, snapshot, models = tmp_path / "blobs" / "abc", tmp_path / "snapshots" / "tiny.gguf", tmp_path / "models"
    for folder in (blob.parent, snapshot.parent, models):
        folder.mkdir()
    model.rename(blob)
    snapshot.symlink_to(Path("..", "blobs", "abc"))
    target = Path(hand_over(HandOverJob(str(snapshot), Program.LM_STUDIO, folder=str(models)), ignore).path)
    assert not target.is_symlink() and target.samefile(blob)
    assert "0.30" in hand_over(HandOverJob(str(snapshot), Program.OLLAMA), ignore).sentence
    assert list(snapshot.parent.iterdir()) == [snapshot]


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's folder, in which other programs keep their models."""
    folder = tmp_path / "person"
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder))
    for variable in ("OLLAMA_MODELS", "PATH"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def blob(model: Path, person: Path) -> Path:
    """The model as Ollama keeps it, under the name tiny:latest."""
    digest = "a" * 64
    store = person / ".ollama" / "models"
    manifest = store / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "latest"
    for folder in (store / "blobs", manifest.parent):
        folder.mkdir(parents=True)
    layer = {"mediaType": MODEL_LAYER, "digest": f"sha256:{digest}", "size": model.stat().st_size}
    manifest.write_text(json.dumps({"layers": [layer]}))
    return model.rename(store / "blobs" / f"sha256-{digest}")


def test_what_ollama_has_is_not_given_to_it_again(blob: Path) -> None:
    result = hand_over(HandOverJob(str(blob), Program.OLLAMA), ignore)
    assert (result.path, result.command) == (str(blob), "ollama run tiny:latest") and "already" in result.sentence
    assert hand_over(HandOverJob(str(blob), Program.OLLAMA, "Mine"), ignore).command == "ollama cp tiny:latest mine"
    assert list(blob.parent.iterdir()) == [blob]


def test_a_blob_without_a_name_is_left_alone(model: Path) -> None:
    nameless = model.rename(model.with_name(f"sha256-{'b' * 64}"))
    with pytest.raises(UserError, match="Ollama's own store"):
        hand_over(HandOverJob(str(nameless), Program.OLLAMA), ignore)
    assert list(model.parent.glob("sha256-*")) == [nameless]


def test_a_model_of_ollama_has_its_own_name_in_lm_studio(blob: Path, person: Path) -> None:
    models = person / ".lmstudio" / "models"
    models.mkdir(parents=True)
    target = Path(hand_over(HandOverJob(str(blob), Program.LM_STUDIO), ignore).path)
    assert target == models / "quantgui" / "tiny-latest" / "tiny-latest.gguf" and target.samefile(blob)


def test_the_store_of_lm_studio_is_left_as_it_is(model: Path, person: Path, home: Path) -> None:
    repository = person / ".lmstudio" / "models" / "somebody" / "tiny"
    repository.mkdir(parents=True)
    kept = model.rename(repository / model.name)
    assert "already" in hand_over(HandOverJob(str(kept), Program.LM_STUDIO), ignore).sentence
    written = Path(hand_over(HandOverJob(str(kept), Program.OLLAMA), ignore).path)
    assert written.is_relative_to(home) and f'FROM "{kept}"' in written.read_text()
    assert [path for path in repository.parent.parent.rglob("*") if path.is_file()] == [kept]


@pytest.mark.parametrize("program", Program)
def test_an_importance_matrix_is_no_model(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "matrix.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("imatrix")
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.zeros((1, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UserError, match="not a language model"):
        hand_over(HandOverJob(str(path), program, folder=str(tmp_path)), ignore)


@pytest.fixture
def split(model: Path, tmp_path: Path) -> list[Path]:
    """The model in three files; the first, as llama-gguf-split can write it, holds the keys and no tensor."""
    parts = [tmp_path / f"split-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
    for number, part in enumerate(parts):
        writer = gguf.GGUFWriter(part, "llama")
        writer.add_context_length(128)
        if number:
            writer.add_tensor(f"blk.{number}.attn_q.weight", np.zeros((2, 32), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return parts


@pytest.mark.parametrize("links", [True, False])
def test_lm_studio_gets_every_part(
    links: bool, split: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("another disk")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    models = tmp_path / "models"
    models.mkdir()
    result = hand_over(HandOverJob(str(split[1]), Program.LM_STUDIO, folder=str(models)), ignore)
    folder = models / "quantgui" / "split"
    assert result.path == str(folder / split[0].name)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in split
    }


def test_ollama_is_not_given_a_part_of_a_model(split: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="several files") as caught:
        hand_over(HandOverJob(str(split[0]), Program.OLLAMA), ignore)
    assert "one file" in caught.value.hint and not list(tmp_path.glob("*.Modelfile"))


def test_other_models_are_refused(tiny_llama_folder: Path) -> None:
    with pytest.raises(UserError, match="not a GGUF file"):
        hand_over(HandOverJob(str(tiny_llama_folder), Program.LLAMA_CPP), ignore)
