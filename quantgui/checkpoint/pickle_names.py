"""Which functions and classes a pickle asks for, read off its opcodes; nothing is executed.

Only for saying why a file was refused: what a pickle may do is decided by torch's restricted loader, not here.
"""

from __future__ import annotations

import io
import itertools
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from quantgui.checkpoint.regular_file import open_regular

MAX_OPCODES = 200_000
MAX_PICKLE = 64 * 2**20

_TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "UNICODE", "SHORT_BINSTRING", "BINSTRING", "STRING"})
_PUTS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_HARMLESS = ("torch._utils._rebuild_", "torch.storage.", "collections.OrderedDict")


def foreign_names(path: Path) -> list[str]:
    """Qualified names ("os.system") a .bin file asks for beyond those that weights need; [] where it is unreadable."""
    try:
        with open_regular(path) as stream:
            names = list(_names(_pickle_of(stream)))
    except Exception:  # a damaged file; pickletools raises half a dozen kinds
        return []
    return [name for name in names if not name.startswith(_HARMLESS) and not _is_torch_constant(name)]


def _pickle_of(stream: BinaryIO) -> BinaryIO:
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        return stream
    with zipfile.ZipFile(stream) as archive:
        member = next(item for item in archive.infolist() if item.filename.endswith("data.pkl"))
        with archive.open(member) as pickled:
            return io.BytesIO(pickled.read(MAX_PICKLE))


def _names(pickled: BinaryIO) -> Iterator[str]:
    memo: dict[int, str | None] = {}
    texts: list[str] = []
    last: str | None = None
    for opcode, argument, _ in itertools.islice(pickletools.genops(pickled), MAX_OPCODES):
        kind = opcode.name
        if kind in _TEXTS:
            last = str(argument)
            texts.append(last)
        elif kind == "MEMOIZE":
            memo[len(memo)] = last
        elif kind in _PUTS and isinstance(argument, int):
            memo[argument] = last
        elif kind in _GETS and isinstance(argument, int):
            last = memo.get(argument)
            texts.extend([last] if last is not None else [])
        elif kind in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif kind == "STACK_GLOBAL":
            yield ".".join(texts[-2:])


def _is_torch_constant(name: str) -> bool:
    """Dtypes and storage classes: `torch.bfloat16`, `torch.FloatStorage`."""
    return name.startswith("torch.") and name.count(".") == 1
