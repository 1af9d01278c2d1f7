"""Missing libraries of the system are found through the loader and named by their packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import system_libraries

LDD = """\tlinux-vdso.so.1 (0x00007ffd)
\tlibEGL.so.1 => not found
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
\tlibstrange.so.9 => not found
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `.venv` with PySide6 on a system where the loader finds neither libEGL nor libstrange."""
    (tmp_path / "lib/python3.11/site-packages/PySide6").mkdir(parents=True)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(system_libraries.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(system_libraries, "has_fonts", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0, LDD))
    return tmp_path


def test_what_the_loader_misses_is_listed(bare):
    assert system_libraries.missing_libraries(bare, screen=False) == ["libEGL.so.1", "libstrange.so.9"]


def test_what_cannot_be_installed_is_named_in_one_line(bare, monkeypatch):
    monkeypatch.setattr(system_libraries, "apt_install", lambda packages: False)
    with pytest.raises(system_libraries.MissingLibrariesError) as caught:
        system_libraries.ensure(bare, screen=False)
    message = str(caught.value)
    assert "libEGL.so.1" in message
    assert "libstrange.so.9" in message
    assert "apt-get install libegl1" in message
    assert "\n" not in message


def test_apt_updates_its_lists_only_where_the_first_try_fails(monkeypatch, tmp_path):
    commands: list[str] = []

    def call(command: list[str], **_: object) -> int:
        commands.append(command[1])
        return 100 if commands == ["install"] else 0

    monkeypatch.setattr(system_libraries, "APT_LOG", tmp_path / "log")
    monkeypatch.setattr(system_libraries.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(system_libraries.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(subprocess, "call", call)
    assert system_libraries.apt_install(["libegl1"])
    assert commands == ["install", "update", "install"]


def test_only_root_installs(monkeypatch):
    monkeypatch.setattr(system_libraries.os, "geteuid", lambda: 1000, raising=False)
    assert not system_libraries.apt_install(["libegl1"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems bring these libraries")
def test_the_running_qt_misses_nothing_offscreen():
    assert system_libraries.missing_libraries(Path(sys.prefix), screen=False) == []
