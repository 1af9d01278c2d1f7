"""Undo and redo for a value that is replaced rather than changed."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")
LIMIT = 200


class History(Generic[T]):
    """The current value, what it was before, and what was undone."""

    def __init__(self, value: T) -> None:
        self._past: list[T] = []
        self._future: list[T] = []
        self._value = value

    @property
    def value(self) -> T:
        """The current value."""
        return self._value

    @property
    def can_undo(self) -> bool:
        """Whether there is an earlier value."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether something was undone since the last change."""
        return bool(self._future)

    def push(self, value: T) -> bool:
        """Make `value` the current one; False where it already is."""
        if value == self._value:
            return False
        self._past = [*self._past[-LIMIT + 1 :], self._value]
        self._future.clear()
        self._value = value
        return True

    def undo(self) -> bool:
        """Go back one value; False where there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Take back one undo; False where there is none."""
        return self._step(self._future, self._past)

    def _step(self, source: list[T], sink: list[T]) -> bool:
        if not source:
            return False
        sink.append(self._value)
        self._value = source.pop()
        return True
