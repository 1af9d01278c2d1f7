"""The header of a safetensors file, under every rule of the format; tensor data is never read.

Format: 8 bytes little-endian header length N, N bytes of JSON, then the data, which the tensors cover without gap or
overlap (https://github.com/huggingface/safetensors, "Format"). The library's own reader is not used because it accepts
duplicate names and reports its findings without naming the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from quantgui.checkpoint.limits import (
    MAX_DIMENSIONS,
    MAX_ELEMENTS,
    MAX_SAFETENSORS_HEADER,
    MAX_TENSORS,
    check_name,
)
from quantgui.checkpoint.regular_file import file_size, open_regular, path_error
from quantgui.checkpoint.strict_json import decode_strict
from quantgui.checkpoint.tensor_names import describe
from quantgui.schemes.scheme import DTYPE_BYTES
from quantgui.types import TensorInfo, UserError

LENGTH_BYTES = 8

DTYPE_BITS: Mapping[str, int] = {name: 8 * size for name, size in DTYPE_BYTES.items()} | {
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "C64": 64,
}
"""Bits per element of every dtype a safetensors header may name."""

_DOWNLOAD_AGAIN = "Download the file again; its size or its header is not what it should be."


def read_safetensors(path: Path) -> tuple[TensorInfo, ...]:
    """The tensors of one file in the order of their data, offsets absolute, `file` its bare name.

    Raises UserError, one sentence naming the file and what is wrong.
    """
    with open_regular(path) as stream:
        try:
            header, data_start = _read_header(stream, path.name)
            size = file_size(stream)
        except OSError as error:
            raise path_error(error, path) from None
    return parse_header(header, data_start, size, path.name)


def parse_header(header: bytes, data_start: int, size: int, file: str) -> tuple[TensorInfo, ...]:
    """The tensors of a header whose data lies in bytes [data_start, size) of `file`. Raises UserError."""
    try:
        entries = decode_strict(header)
    except ValueError as error:
        raise _broken(file, f"has a damaged header: {error}") from None
    if not isinstance(entries, dict):
        raise _broken(file, "has a header that is not a table of tensors")
    _check_metadata(entries.pop("__metadata__", {}), file)
    if len(entries) > MAX_TENSORS:
        raise _broken(
            file, f"claims {len(entries):,} tensors, more than the {MAX_TENSORS:,} that are read from one file"
        )
    tensors = sorted(
        (_tensor(name, entry, data_start, file) for name, entry in entries.items()),
        key=lambda tensor: (tensor.offset, tensor.nbytes),
    )
    _check_layout(tensors, data_start, size, file)
    return tuple(tensors)


def _read_header(stream: BinaryIO, file: str) -> tuple[bytes, int]:
    size = file_size(stream)
    if size == 0:
        raise UserError(f"“{file}” is empty.", hint="The download did not finish; download the file again.")
    if size < LENGTH_BYTES:
        raise _broken(file, f"is {size} bytes long, too short for a safetensors file")
    length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    if length > MAX_SAFETENSORS_HEADER:
        raise UserError(
            f"“{file}” claims a header of {length:,} bytes; safetensors allows {MAX_SAFETENSORS_HEADER:,}.",
            hint="It is probably not a safetensors file, or it is damaged; download it again.",
        )
    if length > size - LENGTH_BYTES:
        raise _broken(file, f"is cut off: its header needs {length:,} bytes and only {size - LENGTH_BYTES:,} follow")
    header = stream.read(length)
    if not header.startswith(b"{"):
        raise _broken(file, "does not start with a safetensors header")
    return header, LENGTH_BYTES + length


def _check_metadata(metadata: Any, file: str) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _broken(file, "has header metadata that is not a table of texts")


def _tensor(name: str, entry: Any, data_start: int, file: str) -> TensorInfo:
    check_name(name, file)
    if not isinstance(entry, dict):
        raise _broken(file, f"describes the tensor “{name}” by something that is not a table")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise UserError(
            f"“{file}” stores the tensor “{name}” in an unknown type, {str(dtype)[:40]!r}.",
            hint="The file is damaged, or was written by a newer version of safetensors than this program knows.",
        )
    if not _are_sizes(shape) or len(shape) > MAX_DIMENSIONS:
        raise _broken(file, f"states an impossible shape for the tensor “{name}”: {str(shape)[:80]}")
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _broken(file, f"states an impossible place for the tensor “{name}”: {str(offsets)[:80]}")
    begin, end = offsets
    if (end - begin) * 8 != math.prod(shape) * DTYPE_BITS[dtype]:
        raise _broken(
            file, f"gives the tensor “{name}” {end - begin:,} bytes, which is not what {dtype} of shape {shape} takes"
        )
    what = describe(name, len(shape))
    return TensorInfo(
        name, tuple(shape), dtype, end - begin, file, data_start + begin, what.role, what.layer, what.module
    )


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    # `type() is int` because True is an int to isinstance, and a dimension of `true` is not a number.
    return isinstance(value, list) and all(type(size) is int and 0 <= size < MAX_ELEMENTS for size in value)


def _check_layout(tensors: list[TensorInfo], data_start: int, size: int, file: str) -> None:
    """The tensors, sorted by place, cover the data exactly: no gap, no overlap, nothing beyond the end."""
    expected, before = data_start, ""
    for tensor in tensors:
        if tensor.offset < expected:
            raise _broken(file, f"lets the tensors “{before}” and “{tensor.name}” overlap")
        if tensor.offset > expected:
            raise _broken(file, f"leaves {tensor.offset - expected:,} unused bytes before the tensor “{tensor.name}”")
        expected, before = tensor.offset + tensor.nbytes, tensor.name
    if expected > size:
        raise _broken(file, f"is cut off: its tensors need {expected:,} bytes and it has {size:,}")
    if expected < size:
        raise _broken(file, f"has {size - expected:,} bytes that belong to no tensor")


def _broken(file: str, what: str) -> UserError:
    return UserError(f"“{file}” {what}.", hint=_DOWNLOAD_AGAIN)
