from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.checkpoint.strict_json import MAX_DEPTH, decode_strict, decode_tolerant

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**16), 10**16)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_both_readings_give_back_what_was_written(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False).encode(errors="replace")
    assert decode_strict(text) == decode_tolerant(text)[0] == json.loads(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{} {}", "not valid JSON"),
        (b"\xff", "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a":1,"a":2}', "“a” appears twice"),
        (b'[{"b":{"a":1,"a":1}}]', "“a” appears twice"),
        (b'{"a":NaN}', "NaN is not"),
        (b'{"a":-Infinity}', "-Infinity is not"),
        (b"[" + b"9" * 5000 + b"]", "a number of 5,000 digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_strict_reading_refuses_what_the_standard_forbids(text: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        decode_strict(text)


def test_tolerant_reading_keeps_the_last_of_duplicates_and_says_so() -> None:
    value, findings = decode_tolerant(b'{"a":1,"b":{"c":NaN,"d":[Infinity]},"a":2}')
    assert value == {"a": 2, "b": {"c": None, "d": [None]}}
    assert findings.duplicates == ["a"]
    assert findings.not_numbers == ["NaN", "Infinity"]


def test_numbers_beyond_64_bits_become_floats() -> None:
    assert decode_tolerant(b"[1000000000000000019884624838656, 12]")[0] == [1e30, 12]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested too deeply"),
        (b'{"a":"\\ud800"}', "halves of characters"),
        (b'{"\\udfff":1}', "halves of characters"),
    ],
)
def test_what_could_not_be_sent_on_is_refused(text: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        decode_tolerant(text)
