from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quantgui.hardware import system
from quantgui.types import GIB


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_this_machine_has_memory_a_processor_and_a_disk(tmp_path: Path) -> None:
    memory = system.memory()
    assert 0 < memory.available <= memory.total
    assert system.cpu().name
    assert (system.cpu().cores or 0) >= 1
    assert system.disk_free(tmp_path / "not" / "made" / "yet") > 0


def test_a_v2_limit_counts_with_the_cache_that_can_be_given_back(tmp_path: Path) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    write(root, memory__max="max")
    write(root / "box", memory__max=4 * GIB, memory__current=3 * GIB, memory__stat=f"anon 1\ninactive_file {GIB}")
    proc.write_text("0::/box/inner\n")
    limit = system.container_limit(root, proc)
    assert limit is not None
    assert (limit.total, limit.available) == (4 * GIB, 2 * GIB)


def test_the_tightest_of_several_limits_counts(tmp_path: Path) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    write(root / "outer", memory__max=8 * GIB, memory__current=7 * GIB)
    write(root / "outer" / "inner", memory__max=4 * GIB, memory__current=0)
    proc.write_text("0::/outer/inner\n")
    limit = system.container_limit(root, proc)
    assert limit is not None
    assert limit.available == GIB


def test_a_v1_limit_counts_and_its_huge_number_does_not(tmp_path: Path) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    proc.write_text("5:cpu:/\n4:memory:/docker/abc\n")
    write(root / "memory", memory__limit_in_bytes=9223372036854771712)
    assert system.container_limit(root, proc) is None
    write(root / "memory" / "docker" / "abc", memory__limit_in_bytes=2 * GIB, memory__usage_in_bytes=GIB)
    limit = system.container_limit(root, proc)
    assert limit is not None
    assert (limit.total, limit.available) == (2 * GIB, GIB)


def test_no_control_groups_mean_no_limit(tmp_path: Path) -> None:
    assert system.container_limit(tmp_path / "absent", tmp_path / "absent") is None


def test_a_limit_below_the_machines_memory_is_used_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, memory__max=GIB // 8, memory__current=0)
    monkeypatch.setattr(system, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(system, "PROC_CGROUP", tmp_path / "absent")
    memory = system.memory()
    assert memory.total == GIB // 8
    assert "container" in memory.note


def test_a_missing_tool_says_nothing_and_a_hanging_one_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert system.run_command(["no-such-tool-here"]) == ""
    assert system.run_command([sys.executable, "-c", "print(7)"]).strip() == "7"
    monkeypatch.setattr(system, "COMMAND_TIMEOUT", 0.2)
    with pytest.raises(subprocess.TimeoutExpired):
        system.run_command([sys.executable, "-c", "import time; time.sleep(30)"])
