"""Every format by id, collected from the files of this folder that state a `FORMAT`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache

from quantgui import formats
from quantgui.formats.format import Format
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.scheme import Scheme


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


def mix_objection(assignments: Iterable[Assignment]) -> str:
    """Why the schemes in use cannot share one checkpoint, "" where they can."""
    schemes: dict[Scheme, None] = dict.fromkeys(a.scheme for a in assignments if a.scheme is not None)
    by_format: dict[str, list[Scheme]] = {}
    for scheme in schemes:
        if scheme.storage.format in all_formats():
            by_format.setdefault(scheme.storage.format, []).append(scheme)
    if len(by_format) > 1:
        names = " and ".join(sorted(f"{some[0].id} ({id_})" for id_, some in by_format.items()))
        return f"one checkpoint cannot hold two formats: {names}"
    return next((all_formats()[id_].mix_objection(some) for id_, some in by_format.items()), "")
