"""GGUF models that Ollama and LM Studio keep on this machine. Nothing is written; manifests are read strictly.

Ollama: `manifests/<host>/<namespace>/<model>/<tag>` is JSON that lists layers; the one of type `…image.model` names a
blob, `blobs/sha256-<hex>`. LM Studio: `models/<publisher>/<repository>/<file>.gguf`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.checkpoint.strict_json import decode_strict
from quantgui.types import UserError

MAX_MANIFEST_BYTES = 1 << 20
MAX_LAYERS = 64
MAX_ENTRIES = 2000
"""Entries of one folder that are looked at."""
MODEL_LAYER = "application/vnd.ollama.image.model"
DEFAULT_HOST, DEFAULT_NAMESPACE = "registry.ollama.ai", "library"

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[\w.-]{1,200}")
_LATER_SHARD = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model of another program: "llama3.2:latest" or "publisher/repository/file.gguf"."""

    name: str
    path: str
    nbytes: int
    program: str  # "Ollama", "LM Studio"


def stored_models(environment: Mapping[str, str] = os.environ, home: Path | None = None) -> tuple[StoredModel, ...]:
    """Every model of both programs, by name. What is broken or not what it claims to be is passed over."""
    home = home or Path.home()
    ollama = environment.get("OLLAMA_MODELS")
    found = list(_ollama(Path(ollama).expanduser() if ollama else home / ".ollama" / "models"))
    for folder in (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"):
        found += _lm_studio(folder)
    return tuple(sorted(found, key=lambda model: (model.program, model.name)))


def stored_name(path: str, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> str | None:
    """What Ollama calls the blob at `path`, whose file name says nothing; None for every other path."""
    if not Path(path).name.startswith("sha256-"):
        return None
    return next((model.name for model in stored_models(environment, home) if model.path == path), None)


def _ollama(store: Path) -> Iterator[StoredModel]:
    for host in _folders(store / "manifests"):
        for namespace in _folders(host):
            for model in _folders(namespace):
                for tag in _files(model):
                    blob = _blob(tag, store / "blobs")
                    if blob is not None:
                        name = _ollama_name(host.name, namespace.name, model.name, tag.name)
                        yield from _stored(name, blob, "Ollama")


def _ollama_name(host: str, namespace: str, model: str, tag: str) -> str:
    """As Ollama shows it: without the usual host and namespace."""
    parts = [model] if namespace == DEFAULT_NAMESPACE and host == DEFAULT_HOST else [namespace, model]
    return "/".join(parts if host == DEFAULT_HOST else [host, *parts]) + f":{tag}"


def _blob(manifest: Path, blobs: Path) -> Path | None:
    """The GGUF file of a manifest. None where anything is not as Ollama writes it."""
    try:
        layers = decode_strict(read_capped(manifest, MAX_MANIFEST_BYTES)).get("layers")
    except (UserError, ValueError, AttributeError):
        return None
    if not isinstance(layers, list) or len(layers) > MAX_LAYERS:
        return None
    models = [layer for layer in layers if isinstance(layer, dict) and layer.get("mediaType") == MODEL_LAYER]
    return _checked_blob(models[0], blobs) if len(models) == 1 else None


def _checked_blob(layer: Mapping[str, Any], blobs: Path) -> Path | None:
    """A file directly in the store, of the size that the manifest says: a digest cannot lead anywhere else."""
    digest = layer.get("digest")
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if match is None:
        return None
    blob = blobs / f"sha256-{match[1]}"
    try:
        return blob if is_file(blob) and blob.stat().st_size == layer.get("size") else None
    except OSError:
        return None


def _lm_studio(store: Path) -> Iterator[StoredModel]:
    for publisher in _folders(store):
        for repository in _folders(publisher):
            for file in _files(repository):
                name = file.name.lower()
                if not name.endswith(".gguf") or name.startswith("mmproj") or _LATER_SHARD.search(name):
                    continue
                label = f"{publisher.name}/{repository.name}/{file.name}"
                yield from _stored(label, file, "LM Studio")


def _stored(name: str, path: Path, program: str) -> Iterator[StoredModel]:
    """The model, unless its file has gone in the meantime: its program may be deleting it."""
    with contextlib.suppress(OSError):
        yield StoredModel(name, str(path), path.stat().st_size, program)


def _folders(folder: Path) -> Iterator[Path]:
    return _entries(folder, wants_folders=True)


def _files(folder: Path) -> Iterator[Path]:
    return _entries(folder, wants_folders=False)


def _entries(folder: Path, *, wants_folders: bool) -> Iterator[Path]:
    """Plainly named entries of a folder in order; links to folders are not followed, so there are no circles."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for _, entry in zip(range(MAX_ENTRIES), found, strict=False)]
        wanted = [
            entry.name
            for entry in entries
            if _NAME.fullmatch(entry.name)
            and (entry.is_dir(follow_symlinks=False) if wants_folders else entry.is_file())
        ]
    except OSError:
        return
    yield from (folder / name for name in sorted(wanted))
