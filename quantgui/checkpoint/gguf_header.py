"""The header of a GGUF file (versions 2 and 3), under limits; tensor data is never read.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, tensor count, key count; the keys
with typed values; name, dimensions, type and relative offset of each tensor; padding to the alignment; the data. The
`gguf` package is not used because it hangs on a 49-byte hostile file and recurses without limit on nested arrays.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from quantgui.checkpoint.gguf_cursor import Cursor, GgufFormatError
from quantgui.checkpoint.limits import MAX_ELEMENTS, check_name
from quantgui.checkpoint.regular_file import file_size, open_regular, path_error
from quantgui.checkpoint.tensor_names import describe
from quantgui.schemes.ggml_types import BY_ID, GgmlType
from quantgui.types import TensorInfo, UserError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_KEYS = 4096
"""Real files have 20 to 60."""
MAX_KEY_BYTES = 1024
MAX_GGUF_TENSORS = 32_768
"""GGUF stacks experts, so the largest models have about 2,000 tensors."""
MAX_NAME_BYTES = 256
"""ggml itself allows 64."""
MAX_KEPT_STRING = 1 << 14
"""Longer texts (chat templates, embedded tokenizers) are passed over: nothing here needs them."""
MAX_KEPT_ARRAY = 1024
"""Arrays of numbers up to this length are kept: one entry per layer."""
MAX_STRINGS = 2_000_000
"""Strings in arrays, all together. The largest tokenizers have 262,144 tokens and about 500,000 merges."""
MAX_ALIGNMENT = 1 << 20
MAX_HEADER_BYTES = 256 * 2**20
"""The keys of real files take up to 20 MB, nearly all of it the vocabulary."""
DEFAULT_ALIGNMENT = 32
MAX_GGUF_DIMENSIONS = 4

_COUNTS = struct.Struct("<4sIQQ")
_U32 = struct.Struct("<I")
_ARRAY = struct.Struct("<IQ")
_ENTRIES = [struct.Struct(f"<{dimensions}QIQ") for dimensions in range(MAX_GGUF_DIMENSIONS + 1)]
"""Sizes, type and offset of a tensor, by its number of dimensions."""
_NUMBERS: Mapping[int, struct.Struct] = {
    kind: struct.Struct("<" + code)
    for kind, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "B",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_BOOL, _STRING, _ARRAY_TYPE = 7, 8, 9

_DOWNLOAD_AGAIN = "Download the file again, or convert the model again."


@dataclass(frozen=True, slots=True)
class SkippedValue:
    """A long value that was passed over: its number of elements, or of bytes for a text."""

    length: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The keys and tensors of one file. Tensor shapes are in torch's order: [output, input].

    `spans` are the bytes of each key's entry in the file, from the length of its name to the end of its value.
    """

    version: int
    keys: Mapping[str, Any]
    tensors: tuple[TensorInfo, ...]
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class _Entry(NamedTuple):
    """A tensor as the file lists it: `offset` is relative to the data, `shape` already in torch's order."""

    offset: int
    nbytes: int
    name: str
    shape: tuple[int, ...]
    kind: GgmlType


def read_gguf(path: Path) -> GgufHeader:
    """The header of one GGUF file. Raises UserError, one sentence naming the file and what is wrong."""
    with open_regular(path) as stream:
        try:
            size = file_size(stream)
            return _read(Cursor(stream, size), size, path.name)
        except GgufFormatError as error:
            raise UserError(f"“{path.name}” {error}.", hint=_DOWNLOAD_AGAIN) from None
        except OSError as error:
            raise path_error(error, path) from None


def read_raw_keys(path: Path) -> tuple[tuple[str, bytes], ...]:
    """Each key with the bytes of its whole entry, in order: what a copy of the header is made of.

    Raises UserError as `read_gguf` does, and for headers larger than any model has.
    """
    spans = read_gguf(path).spans
    if sum(end - start for start, end in spans.values()) > MAX_HEADER_BYTES:
        raise UserError(f"“{path.name}” has a header larger than any model's.", hint=_DOWNLOAD_AGAIN)
    with open_regular(path) as stream:
        entries = []
        for key, (start, end) in spans.items():
            stream.seek(start)
            entries.append((key, stream.read(end - start)))
    return tuple(entries)


def _read(cursor: Cursor, size: int, file: str) -> GgufHeader:
    if size == 0:
        raise UserError(f"“{file}” is empty.", hint="The download did not finish; download the file again.")
    magic, version, tensor_count, key_count = cursor.unpack(_COUNTS, "the header")
    _check_version(magic, version, file)
    if key_count > MAX_KEYS:
        raise GgufFormatError(f"claims {key_count:,} keys, which cannot be")
    if tensor_count > MAX_GGUF_TENSORS:
        raise GgufFormatError(f"claims {tensor_count:,} tensors, which cannot be")
    keys, spans = _read_keys(cursor, key_count)
    entries = [_read_entry(cursor, file) for _ in range(tensor_count)]
    alignment = _alignment(keys)
    data_start = -(-cursor.position // alignment) * alignment
    return GgufHeader(version, keys, _place(entries, data_start, alignment, size, file), spans)


def _check_version(magic: bytes, version: int, file: str) -> None:
    if magic != MAGIC:
        raise UserError(f"“{file}” is not a GGUF file.", hint="It may have been renamed, or the download is damaged.")
    if version in VERSIONS:
        return
    if int.from_bytes(version.to_bytes(4, "little"), "big") in (1, *VERSIONS):
        raise UserError(
            f"“{file}” is a big-endian GGUF file, made for other processors.",
            hint="Convert it with llama.cpp's gguf_convert_endian.py, or download the usual little-endian file.",
        )
    raise UserError(
        f"“{file}” is a GGUF file of version {version}; versions 2 and 3 can be read.",
        hint="Convert the model again with a current llama.cpp." if version == 1 else "Look for a newer QuantGUI.",
    )


def _read_keys(cursor: Cursor, count: int) -> tuple[dict[str, Any], dict[str, tuple[int, int]]]:
    keys: dict[str, Any] = {}
    spans: dict[str, tuple[int, int]] = {}
    strings_left = MAX_STRINGS
    for _ in range(count):
        start = cursor.position
        key = cursor.text(MAX_KEY_BYTES, "a key")
        if key in keys:
            raise GgufFormatError(f"states the key “{key[:80]}” twice")
        (kind,) = cursor.unpack(_U32, f"the key “{key[:80]}”")
        what = f"the key “{key[:80]}”"
        if kind == _ARRAY_TYPE:
            keys[key], strings = _read_array(cursor, strings_left, what)
            strings_left -= strings
        else:
            keys[key] = _read_scalar(cursor, kind, what)
        spans[key] = start, cursor.position
    return keys, spans


def _read_scalar(cursor: Cursor, kind: int, what: str) -> Any:
    if kind == _STRING:
        length = cursor.length(what)
        if length > MAX_KEPT_STRING:
            cursor.skip(length, what)
            return SkippedValue(length)
        return cursor.read(length, what).decode(errors="replace")
    if kind not in _NUMBERS:
        raise GgufFormatError(f"stores {what} in an unknown type ({kind})")
    return _read_numbers(cursor, kind, 1, what)[0]


def _read_numbers(cursor: Cursor, kind: int, count: int, what: str) -> list[Any]:
    """Some numbers, or answers of yes and no, one after the other; the caller bounds `count`."""
    values = cursor.unpack(struct.Struct(f"<{count}{_NUMBERS[kind].format[1:]}"), what)
    if kind != _BOOL:
        return list(values)
    neither = max(values, default=0)
    if neither > 1:
        raise GgufFormatError(f"stores {what} as a yes or no that is neither ({neither})")
    return [bool(value) for value in values]


def _read_array(cursor: Cursor, strings_left: int, what: str) -> tuple[list[Any] | SkippedValue, int]:
    """An array's values where short, else its length; and how many strings it took."""
    kind, count = cursor.unpack(_ARRAY, what)
    if kind == _STRING:
        if count > strings_left:
            raise GgufFormatError(f"claims {count:,} texts in {what}, which cannot be")
        cursor.skip_strings(count, what)
        return SkippedValue(count), count
    if kind == _ARRAY_TYPE:
        # The format allows arrays of arrays; no model has one, and they are how readers were made to recurse to death.
        raise GgufFormatError(f"nests arrays in {what}, which no model does")
    if kind not in _NUMBERS:
        raise GgufFormatError(f"stores {what} in an unknown type ({kind})")
    width = _NUMBERS[kind].size
    cursor.require(width * count, what)
    if count > MAX_KEPT_ARRAY:
        cursor.skip(width * count, what)
        return SkippedValue(count), 0
    return _read_numbers(cursor, kind, count, what), 0


def _alignment(keys: Mapping[str, Any]) -> int:
    value = keys.get("general.alignment", DEFAULT_ALIGNMENT)
    if type(value) is not int or not 1 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise GgufFormatError(f"states an alignment of {value}, which is not a power of two")
    return value


def _read_entry(cursor: Cursor, file: str) -> _Entry:
    name = check_name(cursor.text(MAX_NAME_BYTES, "a tensor name"), file)
    what = f"the tensor “{name}”"
    (dimensions,) = cursor.unpack(_U32, what)
    if dimensions > MAX_GGUF_DIMENSIONS:
        raise GgufFormatError(f"gives {what} {dimensions:,} dimensions; GGUF allows {MAX_GGUF_DIMENSIONS}")
    *sizes, type_id, offset = cursor.unpack(_ENTRIES[dimensions], what)
    kind = BY_ID.get(type_id)
    if kind is None:
        raise UserError(
            f"“{file}” stores the tensor “{name}” in an unknown type (number {type_id}).",
            hint="The type was retired by llama.cpp, or is newer than this program; convert the model again.",
        )
    numel = math.prod(sizes)
    if numel > MAX_ELEMENTS:
        raise GgufFormatError(f"gives {what} {numel:,} elements, which cannot be")
    row = sizes[0] if sizes else 1
    if row % kind.block_elements:
        raise GgufFormatError(
            f"gives {what} rows of {row:,} elements, which {kind.name}'s blocks of {kind.block_elements} do not divide"
        )
    return _Entry(offset, kind.nbytes(numel), name, tuple(reversed(sizes)), kind)


def _place(entries: list[_Entry], data_start: int, alignment: int, size: int, file: str) -> tuple[TensorInfo, ...]:
    """The tensors in the order of their data with absolute offsets; aligned, inside the file, none twice."""
    seen: set[str] = set()
    twice = next((entry.name for entry in entries if entry.name in seen or seen.add(entry.name)), None)
    if twice is not None:
        raise GgufFormatError(f"holds the tensor “{twice}” twice")
    placed, expected, before = [], 0, ""
    for offset, nbytes, name, shape, kind in sorted(entries, key=lambda entry: entry[:2]):
        start, end = data_start + offset, data_start + offset + nbytes
        if offset % alignment:
            raise GgufFormatError(f"puts the tensor “{name}” at an offset that is no multiple of {alignment}")
        if offset < expected:
            raise GgufFormatError(f"lets the tensors “{before}” and “{name}” overlap")
        if end > size:
            raise GgufFormatError(f"is cut off: the tensor “{name}” ends at byte {end:,} and the file has {size:,}")
        told = describe(name, len(shape))
        placed.append(TensorInfo(name, shape, kind.name, nbytes, file, start, told.role, told.layer, told.module))
        expected, before = offset + nbytes, name
    return tuple(placed)
