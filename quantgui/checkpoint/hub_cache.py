"""Models that Hugging Face's own tools have downloaded to this machine: folder names and sizes only, no network."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

WEIGHT_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt", ".pth")

_PREFIX = "models--"
_REPOSITORY = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_REVISION = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A repository in the cache: its name ("org/name"), its newest snapshot folder, and the bytes of that snapshot."""

    name: str
    path: str
    nbytes: int


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where huggingface_hub keeps its downloads, by its own rules: HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, ~/.cache."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if environment.get(variable):
            return Path(environment[variable]).expanduser()
    if environment.get("HF_HOME"):
        return Path(environment["HF_HOME"]).expanduser() / "hub"
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser() / "huggingface" / "hub"


def cached_models(folder: Path | None = None) -> tuple[CachedModel, ...]:
    """Every model in the cache that has weight files, by name. Broken entries are passed over; no cache is ()."""
    try:
        entries = [entry.name for entry in os.scandir(folder or cache_folder()) if entry.name.startswith(_PREFIX)]
    except OSError:
        return ()
    found = (_cached((folder or cache_folder()) / entry) for entry in sorted(entries))
    return tuple(model for model in found if model is not None)


def find_cached(name: str, folder: Path | None = None) -> CachedModel | None:
    """The model "org/name" where it is in the cache."""
    if not _REPOSITORY.fullmatch(name):
        return None
    return _cached((folder or cache_folder()) / (_PREFIX + name.replace("/", "--")))


def repository_of(snapshot: Path) -> str | None:
    """ "org/name" for a snapshot folder of the cache, None for any other folder."""
    if snapshot.parent.name != "snapshots" or not snapshot.parent.parent.name.startswith(_PREFIX):
        return None
    return _repository(snapshot.parent.parent)


def _repository(folder: Path) -> str:
    return folder.name.removeprefix(_PREFIX).replace("--", "/", 1)


def _cached(folder: Path) -> CachedModel | None:
    try:
        snapshot = _snapshot(folder)
        sizes = dict(_file_sizes(snapshot)) if snapshot else {}
    except OSError:
        return None
    if snapshot is None or not any(name.endswith(WEIGHT_SUFFIXES) for name in sizes):
        return None
    return CachedModel(_repository(folder), str(snapshot), sum(sizes.values()))


def _snapshot(folder: Path) -> Path | None:
    """The snapshot of the main branch, else the newest. A reference that is no plain revision is ignored."""
    snapshots = folder / "snapshots"
    main = folder / "refs" / "main"
    if main.is_file() and main.stat().st_size < 200:
        revision = main.read_text(errors="replace").strip()
        if _REVISION.fullmatch(revision) and revision not in (".", "..") and (snapshots / revision).is_dir():
            return snapshots / revision
    candidates = [entry for entry in os.scandir(snapshots) if entry.is_dir()]
    newest = max(candidates, key=lambda entry: entry.stat().st_mtime, default=None)
    return snapshots / newest.name if newest else None


def _file_sizes(snapshot: Path) -> Iterator[tuple[str, int]]:
    """Name and size of each file; links into the blobs are followed, broken ones passed over."""
    for entry in os.scandir(snapshot):
        try:
            if entry.is_file():
                yield entry.name, entry.stat().st_size
        except OSError:
            continue
