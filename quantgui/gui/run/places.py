"""Where a run may be written, whether there is room, and where finished ones are looked for. No Qt."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from quantgui.jobs.run_library import is_run
from quantgui.jobs.run_record import FILE_SUFFIX, record_folder
from quantgui.types import HardwareTarget


@dataclass(frozen=True)
class Place:
    """An output folder as it is now. `taken` says what is there already, in words; "" where nothing is."""

    path: Path
    free_bytes: int | None
    taken: str = ""
    is_replaceable: bool = False  # a run of ours: it may be overwritten if the person agrees


def look_at(folder: str) -> Place:
    """What is at `folder`, and the free space of its disk. Raises OSError."""
    path = Path(folder).expanduser().absolute()
    free = _free_bytes(path)
    if path.is_dir():
        if is_run(path):
            return Place(path, free, "A finished run is in this folder already.", True)
        if any(path.iterdir()):
            return Place(path, free, "This folder holds other files.")
    elif path.exists():
        is_ours = record_folder(path) != path and is_run(record_folder(path))
        return Place(path, free, "A file of this name is there already.", is_ours)
    return Place(path, free)


def unused_name(folder: str) -> str:
    """`folder`, or the first of folder-2, folder-3 … where nothing is; file-2.gguf for a file."""
    stem, suffix = (folder[: -len(FILE_SUFFIX)], FILE_SUFFIX) if folder.endswith(FILE_SUFFIX) else (folder, "")
    number, candidate = 2, folder
    while Path(candidate).expanduser().exists():
        candidate = f"{stem}-{number}{suffix}"
        number += 1
    return candidate


def devices(machine: HardwareTarget) -> list[tuple[str, str]]:
    """What arithmetic can run on: (device as torch names it, words)."""
    found = [("cpu", "CPU")]
    cuda = 0
    for accelerator in machine.accelerators:
        if accelerator.vendor.lower() in ("nvidia", "amd") and not accelerator.unified:
            found.append((f"cuda:{cuda}", accelerator.name))
            cuda += 1
        elif accelerator.vendor.lower() == "apple":
            found.append(("mps", accelerator.name))
    return found


def library_folders(outputs: Path, remembered: str) -> list[Path]:
    """The outputs folder and the others that `remember_folder` has collected."""
    return list(dict.fromkeys([outputs, *(Path(line) for line in remembered.splitlines() if line)]))


def remember_folder(remembered: str, output: str, outputs: Path) -> str:
    """What to remember after a run was written to `output`: folders outside of `outputs`, one per line."""
    parent = Path(output).parent
    known = remembered.splitlines()
    return remembered if parent == outputs or str(parent) in known else "\n".join([*known, str(parent)])


def _free_bytes(path: Path) -> int | None:
    """Free space of the disk on which `path` would be made."""
    existing: Iterable[Path] = (candidate for candidate in (path, *path.parents) if candidate.is_dir())
    try:
        return shutil.disk_usage(next(iter(existing))).free
    except (StopIteration, OSError):
        return None
