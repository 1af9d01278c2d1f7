"""`*.index.json`: which file of a sharded checkpoint holds which tensor."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from quantgui.checkpoint.limits import MAX_INDEX_BYTES
from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.checkpoint.strict_json import decode_strict
from quantgui.types import UserError

_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
"""Separators of any system, and what Windows forbids: a shard lies beside its index, nowhere else."""


def read_index(path: Path) -> dict[str, str]:
    """Tensor name -> file name. Every file named lies beside the index.

    Raises UserError for an index that is damaged, leads out of its folder, or names files that are not there.
    """
    try:
        index: Any = decode_strict(read_capped(path, MAX_INDEX_BYTES))
    except ValueError as error:
        raise UserError(f"“{path.name}” cannot be read: {error}.", hint="Download the file again.") from None
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"“{path.name}” does not list any tensors.", hint="Download the file again.")
    files = {}
    for name, file in weight_map.items():
        files[file if isinstance(file, str) else ""] = name
    for file, name in files.items():
        if not _is_plain(file):
            raise UserError(
                f"“{path.name}” places the tensor “{name[:80]}” outside of the model's folder.",
                hint="The index is damaged or hostile; do not use this model.",
                details=ascii(weight_map[name])[:300],
            )
    require_files(path.parent, sorted(files), f"“{path.name}” names it")
    return weight_map


def require_files(folder: Path, names: Iterable[str], why: str) -> None:
    """Raise UserError where one of `names` is not in `folder`."""
    wanted = list(names)
    missing = [name for name in wanted if not is_file(folder / name)]
    if missing:
        count = f"{len(missing)} of {len(wanted)} files" if len(missing) > 1 else "one file"
        raise UserError(
            f"“{missing[0][:100]}” is missing from “{folder.name}”: {why}, and {count} cannot be found.",
            hint="Download the missing files into this folder.",
            details="\n".join(missing[:200]),
        )


def check_against_index(index: Mapping[str, str], file: str, present: Iterable[str], index_name: str) -> list[str]:
    """Names that `file` holds and the index does not list; transformers ignores those.

    Raises UserError for a tensor that the index places in `file` and that is not there, and for one that it places
    elsewhere.
    """
    found = set(present)
    absent = next((name for name, where in index.items() if where == file and name not in found), None)
    if absent is not None:
        raise UserError(
            f"“{file}” does not hold the tensor “{absent}”, which “{index_name}” places there.",
            hint="The index and the files do not belong together; download all of them again.",
        )
    twice = next((name for name in found if index.get(name, file) != file), None)
    if twice is not None:
        raise UserError(
            f"“{file}” and “{index[twice]}” both hold the tensor “{twice}”.",
            hint="The files do not belong together; download all of them again.",
        )
    return sorted(name for name in found if name not in index)


def _is_plain(file: str) -> bool:
    return bool(file) and file not in (".", "..") and file.isprintable() and _FORBIDDEN.search(file) is None
