from __future__ import annotations

import errno
from pathlib import Path

import pytest

from quantgui.checkpoint.regular_file import absolute, is_file, open_regular, path_error, read_capped
from quantgui.types import UserError


def test_reads_a_file_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_capped(path, 5) == b"12345"
    with pytest.raises(UserError, match="never larger than"):
        read_capped(path, 4)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a file"):
        open_regular(tmp_path)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOENT, "There is nothing at"),
        (errno.EACCES, "may not be read by you"),
        (errno.ELOOP, "leads back to itself"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.EIO, "cannot be read"),
        (errno.ESTALE, "cannot be read"),
    ],
)
def test_what_the_system_says_becomes_a_sentence(code: int, expected: str) -> None:
    error = path_error(OSError(code, "as the system says it"), Path("model.gguf"))
    assert expected in error.message
    assert error.hint
    assert "as the system says it" in error.details


@pytest.mark.parametrize("name", ["absent", "x" * 5000, "a\0b"])
def test_impossible_names_are_no_files(tmp_path: Path, name: str) -> None:
    assert not is_file(tmp_path / name)


def test_absolute_keeps_links(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"x")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blob")
    assert absolute(tmp_path / "sub" / ".." / "model.safetensors") == tmp_path / "model.safetensors"
