"""One JSON object per line for jobs, events and recipes. The key "type" names the class."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args

import msgspec

from quantgui.jobs.events import Event
from quantgui.jobs.job import Job

T = TypeVar("T")


@cache
def _classes(union: UnionType) -> dict[str, type]:
    return {cls.__name__: cls for cls in get_args(union)}


@cache
def _tag(cls: type) -> bytes:
    return b'{"type":"' + cls.__name__.encode() + b'",'


def _encode(value: object) -> bytes:
    body = msgspec.json.encode(value)
    return _tag(type(value)) + body[1:] if body != b"{}" else b'{"type":"' + type(value).__name__.encode() + b'"}'


def _decode(line: bytes | str, union: Any) -> Any:
    data = msgspec.json.decode(line)
    if not isinstance(data, dict) or data.get("type") not in _classes(union):
        raise ValueError(f"not a line of this protocol: {str(line)[:200]}")
    return msgspec.convert(data, _classes(union)[data.pop("type")])


def encode_event(event: Event) -> bytes:
    """The event as one line of JSON, without the newline. NaN and infinities become null."""
    return _encode(event)


def decode_event(line: bytes | str) -> Event:
    """The event of one line. Raises ValueError (msgspec's included) for anything else."""
    return _decode(line, Event)


def encode_job(job: Job) -> bytes:
    """The job as one line of JSON."""
    return _encode(job)


def decode_job(line: bytes | str) -> Job:
    """The job of one line. Raises ValueError for anything else."""
    return _decode(line, Job)


def to_json(value: object, *, indent: int = 0) -> str:
    """Any dataclass of the project as JSON text."""
    text = msgspec.json.encode(value)
    return (msgspec.json.format(text, indent=indent) if indent else text).decode()


def from_json(text: bytes | str, cls: type[T]) -> T:
    """A dataclass of the project from JSON text. Raises ValueError with the offending field."""
    return msgspec.json.decode(text, type=cls)
