"""Reading GGUF primitives from a file, never past its end and never more than a little at a time."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

CHUNK = 1 << 20

_LENGTH = struct.Struct("<Q")


class GgufFormatError(ValueError):
    """The file breaks the format; the text is one clause that continues “model.gguf …”."""


class Cursor:
    """A position in a GGUF file of `size` bytes, read in chunks.

    Plain reads rather than a mapping: a file that shrinks while it is mapped kills the process.
    """

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        self._buffer = b""
        self._base = 0  # file offset of the buffer's first byte
        self._at = 0  # position inside the buffer

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._base + self._at

    @property
    def remaining(self) -> int:
        """Bytes between here and the end of the file."""
        return self._size - self.position

    def require(self, count: int, what: str) -> None:
        """Raise GgufFormatError where fewer than `count` bytes follow."""
        if count > self.remaining:
            raise GgufFormatError(f"is cut off or damaged: {what} needs {count:,} bytes and {self.remaining:,} follow")

    def unpack(self, layout: struct.Struct, what: str) -> tuple[Any, ...]:
        """The next values in this layout."""
        self._fill(layout.size, what)
        values = layout.unpack_from(self._buffer, self._at)
        self._at += layout.size
        return values

    def read(self, count: int, what: str) -> bytes:
        """The next `count` bytes; the caller bounds `count`."""
        self._fill(count, what)
        data = self._buffer[self._at : self._at + count]
        self._at += count
        return data

    def length(self, what: str) -> int:
        """A 64-bit length that must not exceed what follows."""
        (value,) = self.unpack(_LENGTH, what)
        self.require(value, what)
        return value

    def text(self, limit: int, what: str) -> str:
        """A string of at most `limit` bytes of UTF-8."""
        count = self.length(what)
        if count > limit:
            raise GgufFormatError(f"holds {what} of {count:,} bytes, more than the {limit:,} that make sense")
        try:
            return self.read(count, what).decode()
        except UnicodeDecodeError:
            raise GgufFormatError(f"holds {what} that is not UTF-8 text") from None

    def skip(self, count: int, what: str) -> None:
        """Pass over `count` bytes without reading them."""
        self.require(count, what)
        if self._at + count <= len(self._buffer):
            self._at += count
            return
        self._base, self._at, self._buffer = self.position + count, 0, b""
        self._stream.seek(self._base)

    def skip_strings(self, count: int, what: str) -> None:
        """Pass over `count` strings. Vocabularies have hundreds of thousands, so the loop is bare."""
        self.require(_LENGTH.size * count, what)
        unpack, width = _LENGTH.unpack_from, _LENGTH.size
        while count:
            self._fill(width, what)
            buffer, at, done = self._buffer, self._at, 0
            try:
                for done in range(count):  # noqa: B007 (how far it came is what counts)
                    at += unpack(buffer, at)[0] + width
                done = count
            except (struct.error, OverflowError):
                pass  # the next length lies beyond the buffer
            count -= done
            self._at = min(at, len(buffer))
            self.skip(at - self._at, what)

    def _fill(self, count: int, what: str) -> None:
        """Have at least `count` bytes in the buffer."""
        available = len(self._buffer) - self._at
        if available >= count:
            return
        self.require(count, what)
        self._base, self._buffer, self._at = self.position, self._buffer[self._at :], 0
        self._buffer += self._stream.read(max(CHUNK, count - available))
        if len(self._buffer) < count:
            raise GgufFormatError("became shorter while it was read")
