"""The keys of a GGUF header with their values, and their bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from quantgui.types import UserError

KeyContent = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[float] | bytes

_LENGTH = struct.Struct("<Q")
_KIND = struct.Struct("<I")


class ValueKind(IntEnum):
    """How GGUF numbers the kinds of values (`enum gguf_type`)."""

    UINT8 = 0
    INT8 = 1
    INT32 = 5
    UINT32 = 4
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9


_SCALARS = {
    ValueKind.UINT8: struct.Struct("<B"),
    ValueKind.UINT32: _KIND,
    ValueKind.INT32: struct.Struct("<i"),
    ValueKind.FLOAT32: struct.Struct("<f"),
    ValueKind.BOOL: struct.Struct("<?"),
}
_ARRAY_CODES = {ValueKind.UINT32: "I", ValueKind.INT32: "i", ValueKind.FLOAT32: "f", ValueKind.INT8: "b"}


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key. `element` is the kind of an array's elements; `raw` holds the whole entry as another file stores it."""

    key: str
    kind: ValueKind
    value: KeyContent = b""
    element: ValueKind | None = None
    raw: bytes = b""

    def encode(self) -> bytes:
        """The entry's bytes: key, kind and value, little-endian. Raises UserError for numbers that do not fit.

        Numbers come from a model's config and tokenizer, which may state anything.
        """
        if self.raw:
            return self.raw
        try:
            return self._encoded()
        except (struct.error, OverflowError):
            raise UserError(
                f"The model's files state a value for {self.key} that a GGUF file cannot hold.",
                hint="The model's config or tokenizer may be damaged; download them again.",
                details=f"{self.value!r:.200} as {(self.element or self.kind).name}",
            ) from None

    def _encoded(self) -> bytes:
        parts = [_text(self.key), _KIND.pack(self.kind)]
        if self.kind is ValueKind.ARRAY:
            assert self.element is not None
            assert isinstance(self.value, Sequence)
            parts += [_KIND.pack(self.element), _LENGTH.pack(len(self.value)), _elements(self.value, self.element)]
        else:
            parts.append(_scalar(self.value, self.kind))
        return b"".join(parts)


def u32(key: str, value: int) -> KeyValue:
    """A whole number from 0 to 2^32 - 1."""
    return KeyValue(key, ValueKind.UINT32, value)


def f32(key: str, value: float) -> KeyValue:
    """A float32."""
    return KeyValue(key, ValueKind.FLOAT32, value)


def flag(key: str, value: bool) -> KeyValue:
    """A yes or no."""
    return KeyValue(key, ValueKind.BOOL, value)


def text(key: str, value: str) -> KeyValue:
    """A text; half a surrogate pair, which UTF-8 cannot hold, becomes a question mark."""
    return KeyValue(key, ValueKind.STRING, value)


def array_of(key: str, element: ValueKind, values: Sequence[str] | Sequence[int] | Sequence[float]) -> KeyValue:
    """A list of values of one kind."""
    return KeyValue(key, ValueKind.ARRAY, values, element)


def encode_keys(keys: Iterable[KeyValue]) -> bytes:
    """The key section of a header."""
    return b"".join(key.encode() for key in keys)


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    return _LENGTH.pack(len(data)) + data


def _scalar(value: KeyContent, kind: ValueKind) -> bytes:
    if kind is ValueKind.STRING:
        assert isinstance(value, str)
        return _text(value)
    return _SCALARS[kind].pack(value)


def _elements(values: Sequence[str] | Sequence[int] | Sequence[float], element: ValueKind) -> bytes:
    if element is ValueKind.STRING:
        return b"".join(_text(str(value)) for value in values)
    if element is ValueKind.BOOL:
        return bytes(bool(value) for value in values)
    if isinstance(values, bytes):
        return values
    return struct.pack(f"<{len(values)}{_ARRAY_CODES[element]}", *values)
