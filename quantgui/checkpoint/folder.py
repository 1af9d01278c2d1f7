"""A Hugging Face folder: which files are the model, their headers, and the config beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from quantgui.checkpoint.catalogue import checkpoint_from_config
from quantgui.checkpoint.child_needed import ChildNeeded
from quantgui.checkpoint.companions import CONFIG, file_names, folder_config, folder_name
from quantgui.checkpoint.config import load_config
from quantgui.checkpoint.gguf_checkpoint import open_gguf
from quantgui.checkpoint.regular_file import is_file
from quantgui.checkpoint.safetensors_header import read_safetensors
from quantgui.checkpoint.shard_index import check_against_index, read_index, require_files
from quantgui.types import Checkpoint, SourceKind, TensorInfo, UserError

SAFETENSORS = "model.safetensors"
INDEX_SUFFIX = ".safetensors.index.json"
TORCH_FILE = "pytorch_model.bin"
TORCH_INDEX = "pytorch_model.bin.index.json"
TORCH_SUFFIXES = (".bin", ".pt", ".pth")

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.(?:safetensors|gguf|bin)")
_NOT_WEIGHTS = re.compile(r"adapter_model\.|training_args|optimizer|scheduler|rng_state|scaler\.|.*imatrix|.*mmproj")
"""Files with the suffix of weights that hold something else."""


@dataclass(frozen=True, slots=True)
class _Weights:
    """The tensors of a folder and what was noticed on the way."""

    tensors: tuple[TensorInfo, ...]
    notes: tuple[str, ...] = ()


def open_folder(folder: Path) -> Checkpoint:
    """The model in a folder, in the order in which transformers looks: safetensors, PyTorch; then GGUF, config alone.

    Raises ChildNeeded for a folder with pickled weights only, and UserError where there is no model, more than one, or
    a damaged one.
    """
    names = file_names(folder)
    weights = _safetensors(folder, names)
    if weights is None and torch_files(names):
        raise ChildNeeded(str(folder))
    if weights is None:
        return _without_tensors(folder, names)
    config, notes = folder_config(folder, names)
    return Checkpoint(
        folder_name(folder), SourceKind.FOLDER, str(folder), weights.tensors, config, (*weights.notes, *notes)
    )


def torch_files(names: set[str]) -> list[str]:
    """The pickled weight files among `names`: those of transformers first, else any that is not known to be other."""
    known = [name for name in (TORCH_FILE, TORCH_INDEX) if name in names]
    return known[:1] or sorted(n for n in names if n.endswith(TORCH_SUFFIXES) and not _NOT_WEIGHTS.match(n))


def _safetensors(folder: Path, names: set[str]) -> _Weights | None:
    """The tensors of the folder's safetensors files, None where there are none."""
    if SAFETENSORS in names:
        return _Weights(read_safetensors(folder / SAFETENSORS))
    indexes = sorted(name for name in names if name.endswith(INDEX_SUFFIX))
    preferred = f"model{INDEX_SUFFIX}"
    if preferred in indexes or len(indexes) == 1:
        return _indexed(folder, preferred if preferred in indexes else indexes[0])
    files = sorted(n for n in names if n.endswith(".safetensors") and not _NOT_WEIGHTS.match(n))
    if not files:
        return None
    if len(files) == 1 and not _SHARD.fullmatch(files[0]):
        return _Weights(read_safetensors(folder / files[0]))
    return _shards_by_name(folder, files)


def _indexed(folder: Path, index_name: str) -> _Weights:
    index = read_index(folder / index_name)
    tensors: list[TensorInfo] = []
    unlisted = 0
    for file in sorted(set(index.values())):
        found = read_safetensors(folder / file)
        ignored = set(check_against_index(index, file, (tensor.name for tensor in found), index_name))
        unlisted += len(ignored)
        tensors.extend(tensor for tensor in found if tensor.name not in ignored)
    notes = (f"{unlisted} tensors are not listed in {index_name}; they are left out, as transformers does.",)
    return _Weights(tuple(tensors), notes if unlisted else ())


def _shards_by_name(folder: Path, files: list[str]) -> _Weights:
    """Numbered shards whose index is absent: read where the set is complete and unmistakable."""
    matches = [_SHARD.fullmatch(name) for name in files]
    sets = {(match["stem"], match["total"]) if match else None for match in matches}
    stem_and_total = next(iter(sets))
    if len(sets) > 1 or stem_and_total is None:
        raise _several(folder, files)
    stem, total = stem_and_total
    if int(total) > 10 * len(files):
        raise UserError(
            f"“{files[0]}” is one of {int(total):,} files, and the others are not here.", hint="Download them."
        )
    wanted = [f"{stem}-{number:05d}-of-{total}.safetensors" for number in range(1, int(total) + 1)]
    require_files(folder, wanted, f"the model comes in {int(total)} files")
    tensors = [tensor for name in wanted for tensor in read_safetensors(folder / name)]
    places: dict[str, str] = {}
    for tensor in tensors:
        check_against_index(places, tensor.file, (tensor.name,), "the other files")
        places[tensor.name] = tensor.file
    return _Weights(tuple(tensors), ("There is no index of the shards; they were found by their names.",))


def _without_tensors(folder: Path, names: set[str]) -> Checkpoint:
    """A folder without safetensors and PyTorch files: GGUF, a config alone, or no model at all (UserError)."""
    ggufs = sorted(n for n in names if n.lower().endswith(".gguf") and not _NOT_WEIGHTS.match(n))
    first_parts = [n for n in ggufs if not (match := _SHARD.fullmatch(n)) or match["number"] == "00001"]
    if len(first_parts) > 1:
        raise _several(folder, first_parts)
    if ggufs:
        return open_gguf(folder / (first_parts or ggufs)[0])
    if CONFIG in names:
        return config_checkpoint(folder / CONFIG)
    if "adapter_model.safetensors" in names:
        raise UserError(
            f"“{folder.name}” holds an adapter (LoRA), not a whole model.",
            hint="Merge it into its base model first, then open the merged folder.",
        )
    inside = sorted(name for name in names if is_file(folder / name / CONFIG))
    raise UserError(
        f"“{folder.name}” holds no model: there is no safetensors, PyTorch or GGUF file in it.",
        hint=f"Did you mean a folder inside it, such as “{inside[0]}”?"
        if inside
        else "Pick the folder with the weights.",
    )


def config_checkpoint(path: Path) -> Checkpoint:
    """The shapes that a config.json alone describes. Raises UserError where its architecture is not known."""
    loaded = load_config(path)
    name = folder_name(path.parent) if path.name == CONFIG else path.stem
    checkpoint = checkpoint_from_config(name, loaded.config)
    note = "There are no weights here; names and sizes follow from config.json."
    return Checkpoint(
        name, checkpoint.kind, "", checkpoint.tensors, checkpoint.config, (note, *checkpoint.notes, *loaded.notes)
    )


def _several(folder: Path, files: list[str]) -> UserError:
    return UserError(
        f"“{folder.name}” holds several models: {', '.join(files[:4])}{' …' if len(files) > 4 else ''}.",
        hint="Open one of these files instead of the folder.",
        details="\n".join(files[:200]),
    )
