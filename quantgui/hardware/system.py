"""RAM, processor and disk of this machine. Container limits (cgroup v1 and v2) are respected."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from quantgui.types import GIB

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")
PROC_CPUINFO = Path("/proc/cpuinfo")
COMMAND_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True)
class SystemMemory:
    """Bytes of RAM that programs here can have in total and right now."""

    total: int
    available: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Processor:
    """Name and physical cores that this process may use."""

    name: str
    cores: int | None


def memory() -> SystemMemory:
    """The machine's RAM, or the container's limit where that is lower."""
    whole = psutil.virtual_memory()
    limit = container_limit(CGROUP_ROOT, PROC_CGROUP)
    if limit is None or limit.total >= whole.total:
        return SystemMemory(whole.total, whole.available)
    note = f"This container may use {limit.total / GIB:.3g} GiB of the machine's {whole.total / GIB:.3g} GiB of RAM."
    return SystemMemory(limit.total, max(0, min(limit.available, whole.available)), note)


def container_limit(root: Path, proc_cgroup: Path) -> SystemMemory | None:
    """The lowest memory limit of the control groups this process is in, None where there is none.

    File cache that the kernel would give back counts as available.
    """
    found = [limit for folder in _cgroup_folders(root, proc_cgroup) if (limit := _limit_of(folder)) is not None]
    return min(found, key=lambda limit: limit.available, default=None)


def _cgroup_folders(root: Path, proc_cgroup: Path) -> list[Path]:
    """The process's control group and all above it, of v2 (`0::/path`) and of v1's memory controller."""
    folders = [root, root / "memory"]
    try:
        lines = proc_cgroup.read_text().splitlines()
    except OSError:
        return folders
    for line in lines:
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        base = root if not controllers else root / "memory" if "memory" in controllers.split(",") else None
        parts = Path(path.lstrip("/"))
        if base is not None and ".." not in parts.parts:
            folders += [base / parts, *(base / parent for parent in parts.parents)]
    return folders


def _limit_of(folder: Path) -> SystemMemory | None:
    limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
    if not limit or limit >= 1 << 60:  # v1 writes a huge number for "no limit"
        return None
    used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes") or 0
    return SystemMemory(limit, max(0, limit - used + _reclaimable(folder / "memory.stat")))


def _reclaimable(stat: Path) -> int:
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.split(maxsplit=1) for line in lines if " " in line)
    value = values.get("total_inactive_file", values.get("inactive_file", "0"))
    return int(value) if value.isdigit() else 0


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def cpu() -> Processor:
    """The processor's marketing name, and the cores this process may run on."""
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count()
    if cores and hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return Processor(_cpu_name() or platform.processor() or platform.machine(), cores)


def _cpu_name() -> str:
    if sys.platform == "darwin":
        return run_command(["sysctl", "-n", "machdep.cpu.brand_string"]).strip()
    if sys.platform == "win32":
        return _windows_cpu_name()
    try:
        lines = PROC_CPUINFO.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in fields if key.strip() in ("model name", "Model")), "")


def _windows_cpu_name() -> str:
    if sys.platform != "win32":
        return ""
    import winreg

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
        return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()


def disk_free(folder: Path) -> int:
    """Free bytes of the disk that holds `folder`, or would hold it once made."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return psutil.disk_usage(str(folder)).free


def run_command(command: list[str]) -> str:
    """Standard output of a system tool, "" where it is not installed. Raises on its failure and after a few seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=True)
    except FileNotFoundError:
        return ""
    return done.stdout
