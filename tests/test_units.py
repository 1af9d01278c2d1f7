"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui import units


def plain(text: str) -> str:
    return text.replace(units.NBSP, " ").replace(units.THIN, " ")


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_999, "1.00 MB"),
        (3_420_000_000, "3.42 GB"),
        (280 * 10**9, "280 GB"),
        (None, "–"),
    ],
)
def test_files_in_powers_of_ten(nbytes, text):
    assert plain(units.file_size(nbytes)) == text


@pytest.mark.parametrize(("nbytes", "text"), [(12 * 2**30, "12.0 GiB"), (1023, "1 023 B"), (2**20 - 1, "1.00 MiB")])
def test_memory_in_powers_of_two(nbytes, text):
    assert plain(units.memory(nbytes)) == text


@given(st.integers(1, 10**15))
def test_a_file_size_is_right_to_three_digits(nbytes):
    number, unit = units.file_size(nbytes).split(units.NBSP)
    scale = 1000 ** ("B", "kB", "MB", "GB", "TB", "PB").index(unit)
    assert math.isclose(float(number.replace(units.THIN, "")) * scale, nbytes, rel_tol=0.006)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0, "0 s"), (3.21, "3.2 s"), (42, "42 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")],
)
def test_time_in_two_units(seconds, text):
    assert plain(units.duration(seconds)) == text


@pytest.mark.parametrize(("fraction", "text"), [(0, "0 %"), (0.284, "28 %"), (0.00314, "0.31 %"), (None, "–")])
def test_fractions_in_percent(fraction, text):
    assert plain(units.percent(fraction)) == text
