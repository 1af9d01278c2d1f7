"""JSON from files nobody vouches for: bounded in memory, and precise about duplicate keys and non-numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_PAIRS = 1_000_000
"""Keys plus array elements of one document: enough for 100,000 tensors of a safetensors header, in about 100 MB."""

MAX_DEPTH = 64
"""Nesting of a config. Real ones reach 6; beyond the limit walking it would exhaust the stack."""

Pairs = list[tuple[str, Any]]


@dataclass
class JsonFindings:
    """What a tolerant reading met and passed over."""

    duplicates: list[str] = field(default_factory=list)
    not_numbers: list[str] = field(default_factory=list)  # "NaN", "Infinity", "-Infinity"


def decode_strict(text: bytes) -> Any:
    """The value of a JSON document in UTF-8. Raises ValueError, one clause, for anything RFC 8259 forbids.

    Duplicate keys are refused too: two readers would see two different files. (msgspec is faster, but keeps the last of
    them in silence.)
    """
    return _decode(text, _refuse_duplicates, _refuse_constant, _int64_or_refuse)


def decode_tolerant(text: bytes) -> tuple[Any, JsonFindings]:
    """As transformers reads a config: the last of duplicate keys counts. NaN and infinities become None.

    Numbers beyond 64 bits become floats, so that every value can be written as JSON again. Raises ValueError, one
    clause, for text that is not JSON, that is nested too deeply, or that holds halves of characters.
    """
    findings = JsonFindings()

    def pairs(items: Pairs) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            findings.duplicates.extend(_repeated(items))
        return result

    value = _decode(text, pairs, findings.not_numbers.append, _int64_or_float)
    _check_depth(value)
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds halves of characters (lone surrogates)") from None
    return value, findings


def _decode(
    text: bytes,
    pairs: Callable[[Pairs], Any],
    constant: Callable[[str], None],
    integer: Callable[[str], int | float],
) -> Any:
    # Each pair needs a colon and each element a comma, so counting them bounds the memory before any is spent.
    if text.count(b":") + text.count(b",") > MAX_PAIRS:
        raise ValueError(f"it holds more than {MAX_PAIRS:,} values")
    try:
        return json.loads(text.decode(), object_pairs_hook=pairs, parse_constant=constant, parse_int=integer)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not valid JSON ({error.msg.lower()}, at character {error.pos})") from None


def _repeated(items: Pairs) -> list[str]:
    seen: set[str] = set()
    return [key for key, _ in items if key in seen or seen.add(key)]


def _refuse_duplicates(items: Pairs) -> dict[str, Any]:
    result = dict(items)
    if len(result) != len(items):
        raise ValueError(f"“{_repeated(items)[0][:80]}” appears twice")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _int64_or_refuse(digits: str) -> int:
    if len(digits) > 20:
        raise ValueError(f"it holds a number of {len(digits):,} digits")
    return int(digits)


def _int64_or_float(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        containers = [item for item in level if isinstance(item, dict | list)]
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
        if not level:
            return
    raise ValueError("it is nested too deeply")
