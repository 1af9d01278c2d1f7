"""A path -> Checkpoint, whatever lies there."""

from __future__ import annotations

import re
import stat
from dataclasses import replace
from pathlib import Path

from quantgui.checkpoint.child_needed import ChildNeeded
from quantgui.checkpoint.companions import config_beside, folder_name
from quantgui.checkpoint.file_kind import HEAD_BYTES, FileKind, kind_of, what_else
from quantgui.checkpoint.folder import TORCH_SUFFIXES, config_checkpoint, open_folder
from quantgui.checkpoint.gguf_checkpoint import open_gguf
from quantgui.checkpoint.regular_file import absolute, open_regular, path_error
from quantgui.checkpoint.safetensors_header import read_safetensors
from quantgui.types import Checkpoint, SourceKind, UserError

_SUFFIXES = {
    FileKind.SAFETENSORS: (".safetensors",),
    FileKind.GGUF: (".gguf",),
    FileKind.TORCH: (*TORCH_SUFFIXES, ".ckpt", ".model"),
    FileKind.JSON: (".json",),
}
"""How files of each kind are usually called."""

_GENERIC_STEM = re.compile(r"(?:model|pytorch_model|consolidated|weights)(?:-\d{5}-of-\d{5})?")


def open_checkpoint(path: str | Path) -> Checkpoint:
    """The model at `path`: a Hugging Face folder, one .safetensors or .gguf file, or a config.json.

    Reads headers and config only. Raises ChildNeeded for pickled PyTorch weights (run a ReadJob then) and UserError,
    one sentence with a hint, for everything that is not a sound model.
    """
    if not str(path).strip():
        raise UserError("No model was named.", hint="Pick a model file or a model folder.")
    try:
        target = absolute(Path(path).expanduser())
        mode = target.stat().st_mode
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: expanduser without a home
        raise path_error(error if isinstance(error, OSError) else ValueError(str(error)), path) from None
    return open_folder(target) if stat.S_ISDIR(mode) else _open_file(target)


def _open_file(path: Path) -> Checkpoint:
    with open_regular(path) as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise UserError(f"“{path.name}” is empty.", hint="The download did not finish; download the file again.")
    kind = kind_of(head)
    if kind is FileKind.OTHER:
        kind = _by_suffix(path, head)
    if kind is FileKind.TORCH:
        return _pickled(path)
    if kind is FileKind.JSON:
        return _open_json(path)
    checkpoint = open_gguf(path) if kind is FileKind.GGUF else _open_safetensors(path)
    if path.suffix.lower() in _SUFFIXES[kind]:
        return checkpoint
    note = f"“{path.name}” is a {kind} file, whatever its name says."
    return replace(checkpoint, notes=(note, *checkpoint.notes))


def _by_suffix(path: Path, head: bytes) -> FileKind:
    """The kind that the name claims, for its reader to say what is wrong. Raises UserError where it claims none."""
    known = what_else(head)
    if known is not None:
        raise UserError(f"“{path.name}” {known[0]}.", hint=known[1])
    suffix = path.suffix.lower()
    for kind in (FileKind.SAFETENSORS, FileKind.GGUF):
        if suffix in _SUFFIXES[kind]:
            return kind
    if suffix in TORCH_SUFFIXES:
        raise UserError(
            f"“{path.name}” is not a PyTorch file, although its name says so.",
            hint="It is damaged, or something else under that name; download it again.",
        )
    raise UserError(
        f"“{path.name}” is not a model file that can be read.",
        hint="Pick a Hugging Face folder, a .safetensors, a .gguf or a PyTorch .bin file.",
    )


def _pickled(path: Path) -> Checkpoint:
    if path.suffix.lower() in (".zip", ".npz", ".keras", ".whl", ".pkl"):
        raise UserError(f"“{path.name}” is not a model file that can be read.", hint="Unpack or convert it first.")
    raise ChildNeeded(str(path))


def _open_json(path: Path) -> Checkpoint:
    if path.name.endswith(".index.json"):
        return open_folder(path.parent)
    return config_checkpoint(path)


def _open_safetensors(path: Path) -> Checkpoint:
    tensors = read_safetensors(path)
    generic = _GENERIC_STEM.fullmatch(path.stem)
    name = folder_name(path.parent) if generic and path.parent.name else path.stem
    config, notes = config_beside(path)
    if re.search(r"-\d{5}-of-\d{5}$", path.stem):
        notes = ("This is one part of a model; open its folder to see all of it.", *notes)
    return Checkpoint(name, SourceKind.SAFETENSORS, str(path), tensors, config, notes)
