from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from quantgui.checkpoint import ChildNeeded, open_checkpoint
from quantgui.types import SourceKind, UserError
from tests.checkpoint.files import entry, gguf_bytes, safetensors_bytes, tensor

SAFETENSORS = safetensors_bytes({"a": entry("U8", [4], 0, 4)}, b"\0" * 4)
GGUF = gguf_bytes([], [tensor("a", [4])], b"\0" * 16)


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "suffix", "kind"),
    [(SAFETENSORS, ".safetensors", SourceKind.SAFETENSORS), (GGUF, ".gguf", SourceKind.GGUF)],
)
def test_a_file_is_told_by_its_content(tmp_path: Path, data: bytes, suffix: str, kind: SourceKind) -> None:
    right = open_checkpoint(_write(tmp_path / f"right{suffix}", data))
    renamed = open_checkpoint(_write(tmp_path / "renamed.bin", data))
    assert (right.kind, renamed.kind) == (kind, kind)
    assert (right.name, renamed.name) == ("right", "renamed")
    assert not any("whatever its name says" in note for note in right.notes)
    assert "whatever its name says" in renamed.notes[0]
    assert right.tensors[0].file == f"right{suffix}"


def test_a_single_file_uses_the_config_beside_it(tiny_llama_folder: Path) -> None:
    checkpoint = open_checkpoint(tiny_llama_folder / "model.safetensors")
    assert checkpoint.config is not None
    assert checkpoint.name == tiny_llama_folder.name, "“model” says nothing; the folder does"
    (tiny_llama_folder / "config.json").write_text("{")
    checkpoint = open_checkpoint(tiny_llama_folder / "model.safetensors")
    assert checkpoint.config is None
    assert "was not used" in checkpoint.notes[0]


def test_one_shard_says_that_it_is_one_of_several(tiny_llama_sharded: Path) -> None:
    checkpoint = open_checkpoint(tiny_llama_sharded / "model-00001-of-00003.safetensors")
    assert "one part" in checkpoint.notes[0]


def test_an_index_opens_its_folder(tiny_llama_sharded: Path) -> None:
    index = open_checkpoint(tiny_llama_sharded / "model.safetensors.index.json")
    assert index == open_checkpoint(tiny_llama_sharded)


def test_a_config_opens_as_shapes(tiny_llama_folder: Path) -> None:
    checkpoint = open_checkpoint(tiny_llama_folder / "config.json")
    assert checkpoint.kind is SourceKind.CONFIG
    assert checkpoint.name == tiny_llama_folder.name


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x04\x95"])
@pytest.mark.parametrize("name", ["pytorch_model.bin", "x.pt", "x.ckpt", "renamed.safetensors"])
def test_a_pickle_is_left_to_the_child(tmp_path: Path, head: bytes, name: str) -> None:
    path = _write(tmp_path / name, head + b"\0" * 20)
    with pytest.raises(ChildNeeded) as caught:
        open_checkpoint(path)
    assert caught.value.path == str(path)
    assert "separate process" in caught.value.message


OTHERS: dict[str, tuple[str, bytes, str]] = {
    "empty": ("m.safetensors", b"", "is empty"),
    "LFS pointer": ("m.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
    "web page": ("m.gguf", b"<!DOCTYPE html><html>", "web page"),
    "Keras": ("m.h5", b"\x89HDF\r\n\x1a\n", "HDF5"),
    "old GGML": ("m.bin", struct.pack("<I", 0x67676A74) + b"\1\0\0\0", "predecessor of GGUF"),
    "gzip": ("m.tar.gz", b"\x1f\x8b\x08" + b"\0" * 20, "packed archive"),
    "noise called safetensors": ("m.safetensors", b"\xff" * 64, "claims a header"),
    "noise called GGUF": ("m.gguf", b"\xff" * 64, "not a GGUF file"),
    "noise called PyTorch": ("m.bin", b"\xff" * 64, "not a PyTorch file"),
    "noise": ("m.xyz", b"\xff" * 64, "not a model file"),
    "text": ("notes.txt", b"hello", "not a model file"),
    "JSON that is no config": ("other.json", b'{"hello": 1}', "architecture"),
    "broken JSON": ("config.json", b"{", "not valid JSON"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_files_are_one_clear_sentence(tmp_path: Path, case: str) -> None:
    name, data, expected = OTHERS[case]
    with pytest.raises(UserError) as caught:
        open_checkpoint(_write(tmp_path / name, data))
    assert expected in caught.value.message
    assert caught.value.message.endswith(".")
    assert caught.value.hint


def test_a_zip_archive_is_not_given_to_the_child(tmp_path: Path) -> None:
    path = tmp_path / "model.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(UserError, match="not a model file") as caught:
        open_checkpoint(path)
    assert not isinstance(caught.value, ChildNeeded)


@pytest.mark.parametrize("path", ["", "  ", "/nowhere/at/all", "with\0nul", "x" * 5000, "~nobody-of-this-name/model"])
def test_a_path_to_nothing_is_one_clear_sentence(path: str) -> None:
    with pytest.raises(UserError) as caught:
        open_checkpoint(path)
    assert caught.value.message.endswith(".")
    assert "\0" not in caught.value.message


def test_a_path_through_a_file(tmp_path: Path) -> None:
    path = _write(tmp_path / "file", b"x")
    with pytest.raises(UserError, match="There is nothing at"):
        open_checkpoint(path / "model.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file types")
@pytest.mark.timeout(20)
def test_pipes_sockets_and_devices_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.safetensors")
    listener = socket.socket(socket.AF_UNIX)
    with listener:
        listener.bind(str(tmp_path / "s"))
        for path in (tmp_path / "pipe.safetensors", tmp_path / "s", Path("/dev/zero")):
            with pytest.raises(UserError, match="is not a file"):
                open_checkpoint(path)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file types")
@pytest.mark.timeout(20)
def test_a_pipe_inside_a_folder_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(UserError, match="is not a file"):
        open_checkpoint(tmp_path)


def test_links_that_lead_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="leads back to itself"):
        open_checkpoint(tmp_path / "a")


def test_a_broken_link_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match="There is nothing at"):
        open_checkpoint(tmp_path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = _write(tmp_path / "m.safetensors", SAFETENSORS)
    path.chmod(0)
    with pytest.raises(UserError, match="may not be read"):
        open_checkpoint(path)


def test_opening_imports_neither_torch_nor_numpy(tiny_llama_folder: Path) -> None:
    code = (
        "import sys; from quantgui.checkpoint import open_checkpoint; open_checkpoint(sys.argv[1]);"
        "print(*({'torch', 'numpy', 'transformers', 'safetensors'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_llama_folder)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("", "")
