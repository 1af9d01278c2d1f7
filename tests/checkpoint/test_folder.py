from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from quantgui.checkpoint import ChildNeeded, open_checkpoint
from quantgui.types import SourceKind, UserError
from tests.checkpoint.files import entry, gguf_bytes, safetensors_bytes, tensor

MakeLlama = Callable[..., Path]
INDEX = "model.safetensors.index.json"


def _shard(path: Path, *names: str) -> None:
    header = {name: entry("U8", [1], i, i + 1) for i, name in enumerate(names)}
    path.write_bytes(safetensors_bytes(header, b"\0" * len(names)))


def _index(folder: Path, weight_map: dict[str, Any]) -> None:
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def _edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_opens_with_everything_that_its_headers_say(make_llama: MakeLlama, shards: int) -> None:
    folder = make_llama("tiny-llama", shards=shards)
    checkpoint = open_checkpoint(folder)
    assert (checkpoint.name, checkpoint.kind, checkpoint.path) == ("tiny-llama", SourceKind.FOLDER, str(folder))
    assert checkpoint.config is not None
    assert (checkpoint.config.architecture, checkpoint.config.context_length) == ("LlamaForCausalLM", 128)
    assert checkpoint.dtype == "F32"
    for info in checkpoint.tensors:
        with safe_open(folder / info.file, "np") as file:
            value = file.get_tensor(info.name)
        content = (folder / info.file).read_bytes()
        assert info.shape == value.shape
        assert content[info.offset : info.offset + info.nbytes] == value.tobytes()


def test_sharded_and_single_hold_the_same_tensors(make_llama: MakeLlama) -> None:
    one, many = open_checkpoint(make_llama("one")), open_checkpoint(make_llama("many", shards=3))
    assert {t.name: t.shape for t in one.tensors} == {t.name: t.shape for t in many.tensors}


def test_without_config_and_tokenizer_it_opens_with_notes(tiny_llama_folder: Path) -> None:
    (tiny_llama_folder / "config.json").unlink()
    checkpoint = open_checkpoint(tiny_llama_folder)
    assert checkpoint.config is None
    assert any("config.json" in note for note in checkpoint.notes)
    assert any("tokenizer" in note for note in checkpoint.notes)
    (tiny_llama_folder / "tokenizer.json").write_text("{}")
    assert not any("tokenizer" in note for note in open_checkpoint(tiny_llama_folder).notes)


def test_programs_in_the_folder_are_noted_and_not_run(tiny_llama_folder: Path) -> None:
    (tiny_llama_folder / "modeling_evil.py").write_text("raise SystemExit('ran')")
    assert any("modeling_evil.py" in note for note in open_checkpoint(tiny_llama_folder).notes)


def _absent_file(folder: Path) -> None:
    (folder / "model-00002-of-00003.safetensors").unlink()


def _absent_tensor(folder: Path) -> None:
    first = "model-00001-of-00003.safetensors"
    _edit(folder / INDEX, lambda index: index["weight_map"].update({"not.there": first}))


def _two_owners(folder: Path) -> None:
    _shard(folder / "extra.safetensors", "model.norm.weight", "new")
    _edit(folder / INDEX, lambda index: index["weight_map"].update({"new": "extra.safetensors"}))


def _broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def _places(value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        _edit(folder / INDEX, lambda index: index["weight_map"].update({"model.norm.weight": value}))

    return change


def _index_text(text: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / INDEX).write_bytes(text)

    return change


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing shard": (_absent_file, "“model-00002-of-00003.safetensors” is missing"),
    "index names an absent tensor": (_absent_tensor, "does not hold the tensor “not.there”"),
    "a tensor in two shards": (_two_owners, "both hold the tensor “model.norm.weight”"),
    "index leads to a parent folder": (_places("../secret.safetensors"), "outside of the model's folder"),
    "index leads to an absolute path": (_places("/etc/passwd"), "outside of the model's folder"),
    "index leads into a folder": (_places("sub/model.safetensors"), "outside of the model's folder"),
    "index uses Windows separators": (_places("..\\secret.safetensors"), "outside of the model's folder"),
    "index uses a Windows drive": (_places("C:secret.safetensors"), "outside of the model's folder"),
    "index names the folder itself": (_places(".."), "outside of the model's folder"),
    "index with an empty name": (_places(""), "outside of the model's folder"),
    "index with a NUL": (_places("a\0b.safetensors"), "outside of the model's folder"),
    "index with a number for a file": (_places(3), "outside of the model's folder"),
    "index with an absent file": (_places("other.safetensors"), "“other.safetensors” is missing"),
    "index with an endless name": (_places("x" * 5000), "is missing"),
    "index that is no JSON": (_index_text(b"{"), "cannot be read"),
    "index that is a list": (_index_text(b"[]"), "does not list any tensors"),
    "index without a map": (_index_text(b"{}"), "does not list any tensors"),
    "index with an empty map": (_index_text(b'{"weight_map":{}}'), "does not list any tensors"),
    "index with a key twice": (_index_text(b'{"weight_map":{"a":"b","a":"c"}}'), "appears twice"),
    "broken shard": (lambda f: _shard(f / "model-00001-of-00003.safetensors", "other"), "does not hold the tensor"),
    "broken config": (_broken_config, "config.json"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_sharded_folder_is_one_clear_sentence(tiny_llama_sharded: Path, case: str) -> None:
    change, expected = BROKEN[case]
    change(tiny_llama_sharded)
    with pytest.raises(UserError) as caught:
        open_checkpoint(tiny_llama_sharded)
    assert expected in caught.value.message
    assert caught.value.message.endswith(".")
    assert caught.value.hint


NAMES = st.sampled_from(["a.safetensors", "b.safetensors", "..", "/etc/passwd", "", "x\0y"]) | st.text(max_size=6)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from("abc") | st.text(max_size=4), NAMES | st.none() | st.integers(), max_size=5))
def test_any_index_opens_or_is_a_user_error(tmp_path: Path, weight_map: dict[str, Any]) -> None:
    _shard(tmp_path / "a.safetensors", "a")
    _shard(tmp_path / "b.safetensors", "b", "c")
    _index(tmp_path, weight_map)
    try:
        checkpoint = open_checkpoint(tmp_path)
    except UserError:
        return
    assert {t.name: t.file for t in checkpoint.tensors} == weight_map


def test_tensors_that_the_index_does_not_list_are_left_out_with_a_note(tmp_path: Path) -> None:
    _shard(tmp_path / "a.safetensors", "listed", "unlisted")
    _index(tmp_path, {"listed": "a.safetensors"})
    checkpoint = open_checkpoint(tmp_path)
    assert [t.name for t in checkpoint.tensors] == ["listed"]
    assert "1 tensors are not listed" in checkpoint.notes[0]


def test_shards_without_an_index_are_found_by_their_names(tmp_path: Path) -> None:
    _shard(tmp_path / "model-00001-of-00002.safetensors", "a")
    _shard(tmp_path / "model-00002-of-00002.safetensors", "b")
    checkpoint = open_checkpoint(tmp_path)
    assert [t.name for t in checkpoint.tensors] == ["a", "b"]
    assert "no index" in checkpoint.notes[0]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("model-00001-of-00002.safetensors",), "“model-00002-of-00002.safetensors” is missing"),
        (("model-00001-of-99999.safetensors",), "one of 99,999 files"),
        (("a.safetensors", "b.safetensors"), "holds several models: a.safetensors, b.safetensors"),
        (("a-00001-of-00001.safetensors", "b.safetensors"), "holds several models"),
        (("adapter_model.safetensors",), "holds an adapter"),
    ],
)
def test_files_that_make_no_model_together(tmp_path: Path, files: tuple[str, ...], expected: str) -> None:
    for i, name in enumerate(files):
        _shard(tmp_path / name, f"tensor{i}")
    with pytest.raises(UserError, match=expected):
        open_checkpoint(tmp_path)


def test_shards_by_name_may_not_share_a_tensor(tmp_path: Path) -> None:
    for number in (1, 2):
        _shard(tmp_path / f"model-0000{number}-of-00002.safetensors", "same")
    with pytest.raises(UserError, match="both hold the tensor “same”"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model.bin.index.json", "weights.pt"])
def test_pickled_weights_need_the_child(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"never read here")
    (tmp_path / "training_args.bin").write_bytes(b"not weights")
    with pytest.raises(ChildNeeded) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.path == str(tmp_path)


def test_safetensors_go_before_pickles(tiny_llama_folder: Path) -> None:
    (tiny_llama_folder / "pytorch_model.bin").write_bytes(b"never read")
    assert open_checkpoint(tiny_llama_folder).kind is SourceKind.FOLDER


def test_a_single_gguf_in_a_folder_opens_and_several_ask(tmp_path: Path) -> None:
    data = gguf_bytes([], [tensor("a", [4])], b"\0" * 16)
    (tmp_path / "one.gguf").write_bytes(data)
    (tmp_path / "one-mmproj.gguf").write_bytes(data)
    assert open_checkpoint(tmp_path).kind is SourceKind.GGUF
    (tmp_path / "two.gguf").write_bytes(data)
    with pytest.raises(UserError, match=r"several models: one\.gguf, two\.gguf"):
        open_checkpoint(tmp_path)


def test_a_config_alone_gives_the_shapes(tiny_llama_folder: Path) -> None:
    expected = {t.name: t.shape for t in open_checkpoint(tiny_llama_folder).tensors}
    (tiny_llama_folder / "model.safetensors").unlink()
    checkpoint = open_checkpoint(tiny_llama_folder)
    assert checkpoint.kind is SourceKind.CONFIG
    assert {t.name: t.shape for t in checkpoint.tensors} == expected
    assert "no weights" in checkpoint.notes[0]


def test_a_folder_above_the_model_says_where_to_look(tmp_path: Path, make_llama: MakeLlama) -> None:
    make_llama("inside")
    with pytest.raises(UserError, match="holds no model") as caught:
        open_checkpoint(tmp_path)
    assert "“inside”" in caught.value.hint


def test_a_snapshot_of_the_hub_is_called_by_its_repository(tmp_path: Path, tiny_llama_folder: Path) -> None:
    snapshot = tmp_path / "models--org--my--model" / "snapshots" / "0123abc"
    snapshot.parent.mkdir(parents=True)
    tiny_llama_folder.rename(snapshot)
    assert open_checkpoint(snapshot).name == "org/my--model"
    assert open_checkpoint(snapshot / "model.safetensors").name == "org/my--model"
