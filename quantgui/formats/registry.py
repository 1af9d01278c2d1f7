"""Every format by id, collected from the files of this folder that state a `FORMAT`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from functools import cache

from quantgui import formats
from quantgui.formats.format import Format
from quantgui.schemes.assignment import Assignment


@cache
def all_formats() -> dict[str, Format]:
    """Formats of quantized checkpoints; plain safetensors need none."""
    modules = [importlib.import_module(f"{formats.__name__}.{m.name}") for m in pkgutil.iter_modules(formats.__path__)]
    found = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return {format_.id: format_ for format_ in found}


def formats_of(assignments: Iterable[Assignment]) -> list[Format]:
    """The formats that these assignments write, without repetition; empty for casts alone."""
    used = {a.scheme.storage.format for a in assignments if a.scheme is not None}
    return [format_ for id_, format_ in all_formats().items() if id_ in used]


def is_unpacked(assignment: Assignment) -> bool:
    """Whether transformers holds this weight dense while it computes, although the file holds it packed."""
    format_ = all_formats().get(assignment.scheme.storage.format) if assignment.scheme is not None else None
    return format_ is not None and not format_.stays_packed


def mix_objection(assignments: Sequence[Assignment]) -> str:
    """Why the schemes in use cannot share one checkpoint, "" where they can."""
    used = formats_of(assignments)
    if len(used) > 1:
        names = {
            f.id: next(a.scheme.id for a in assignments if a.scheme and a.scheme.storage.format == f.id) for f in used
        }
        return (
            f"one checkpoint cannot hold two formats: {' and '.join(f'{name} ({id_})' for id_, name in names.items())}"
        )
    return used[0].mix_objection(assignments) if used else ""
