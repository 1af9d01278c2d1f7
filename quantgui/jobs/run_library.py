"""Finished runs on this disk, and what unfinished ones left behind: listing and removing."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from quantgui.jobs.process_tree import living_jobs
from quantgui.jobs.run_record import RECORD_NAME, RunRecord, output_of, read_record
from quantgui.types import UserError

_PARTIAL = re.compile(r".+\.partial-(?P<job>[0-9a-f]{8})")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A folder that holds a run; `record` is None where its `problem` is that the record cannot be read."""

    folder: Path
    record: RunRecord | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PartialOutput:
    """A folder that a run left without finishing: its size in bytes and when it last changed."""

    folder: Path
    nbytes: int
    changed: datetime


def finished_runs(folders: Iterable[Path]) -> tuple[FinishedRun, ...]:
    """The runs in `folders` and directly below them, newest first. Reads only their `quantgui.json`."""
    found = {candidate.resolve(): None for candidate in _candidates(folders) if is_run(candidate)}
    runs = [_read(folder) for folder in found]
    return tuple(sorted(runs, key=lambda run: run.record.created if run.record else "", reverse=True))


def delete_run(folder: Path) -> None:
    """Delete a run's folder with all its files, and the file that it lies beside. Links are removed, never followed.

    Raises UserError unless the folder itself carries our record and no folders that the run did not write, and where
    the system refuses.
    """
    if folder.is_symlink() or not is_run(folder):
        raise UserError("Only a folder that a quantization has written can be deleted here.", details=str(folder))
    record = _read(folder).record
    written = {Path(name).parts[0] for name in record.sha256} if record else set()
    subfolders = {entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink()} - written
    if subfolders:
        raise UserError(
            "This folder holds more than the run, so it is left as it is.",
            hint="Move your own files out of it, or delete it in your file manager.",
            details=f"{folder} has the folders {', '.join(sorted(subfolders)[:20])}",
        )
    output = output_of(folder)
    if output != folder:
        output.unlink(missing_ok=True)
    _remove(folder)


def stale_partials(folders: Iterable[Path]) -> tuple[PartialOutput, ...]:
    """Folders `*.partial-<job>` in and directly below `folders` whose job has no living process, largest first."""
    found = {candidate.resolve(): None for candidate in _candidates(folders) if _PARTIAL.fullmatch(candidate.name)}
    if not found:
        return ()
    living = living_jobs()
    stale = [_measure(folder) for folder in found if folder.name.rpartition("-")[2] not in living]
    return tuple(sorted(stale, key=lambda partial: partial.nbytes, reverse=True))


def remove_partial(folder: Path) -> None:
    """Remove what an unfinished run left. Raises UserError if it is none, is being written, or the system refuses."""
    match = _PARTIAL.fullmatch(folder.name)
    if folder.is_symlink() or not folder.is_dir() or not match:
        raise UserError("This is not the folder of an unfinished run.", details=str(folder))
    if match["job"] in living_jobs():
        raise UserError("This run is still going on.", hint="Cancel it first.", details=str(folder))
    _remove(folder)


def _candidates(folders: Iterable[Path]) -> Iterable[Path]:
    """Each folder and its direct subfolders, without links."""
    for folder in folders:
        with contextlib.suppress(OSError):
            for candidate in (folder, *folder.iterdir()):
                if candidate.is_dir() and not candidate.is_symlink():
                    yield candidate


def is_run(folder: Path) -> bool:
    """Whether `folder` holds a finished run: partial ones do not count, whatever is in them."""
    record = folder / RECORD_NAME
    return record.is_file() and not record.is_symlink() and not _PARTIAL.fullmatch(folder.name)


def _read(folder: Path) -> FinishedRun:
    try:
        return FinishedRun(folder, read_record(folder))
    except UserError as error:
        return FinishedRun(folder, None, error.message)


def _measure(folder: Path) -> PartialOutput:
    nbytes, changed = 0, 0.0
    with contextlib.suppress(OSError):
        for path in (folder, *folder.rglob("*")):
            status = path.lstat()
            nbytes += status.st_size if not path.is_dir() else 0
            changed = max(changed, status.st_mtime)
    return PartialOutput(folder, nbytes, datetime.fromtimestamp(changed).astimezone())


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise UserError(
            "The folder could not be removed completely.",
            hint="Check that no other program uses it and that you may write there.",
            details=str(error),
        ) from error
