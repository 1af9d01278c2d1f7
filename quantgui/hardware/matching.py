"""Finds devices by the name a person types or a driver reports: "rtx3060", "4090", "NVIDIA A100-SXM4-80GB"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

_VENDOR_WORDS = ("nvidia", "geforce", "quadro", "tesla", "amd", "radeon", "instinct", "intel", "corporation")
_NOISE = frozenset((*_VENDOR_WORDS, "graphics", "gpu", "generation", "edition", "tm", "r", "hbm3", "hbm3e"))
_MAC = re.compile(r"\b(?:macbook (?:air|pro)|mac (?:mini|studio|pro)|imac|macbook)\b")
_SYNONYMS = {"laptop": "mobile", "sxm2": "sxm", "sxm4": "sxm", "sxm5": "sxm", "sxm6": "sxm"}


def best_matches(query: str, names: Sequence[str]) -> list[str]:
    """The names that `query` may mean, all equally well; [] where none does.

    Case, spaces and vendor words are ignored. Of several names that contain every word asked for, those with the fewest
    further words win: "4090" is not the laptop card.
    """
    wanted = _squeezed(query)
    exact = [name for name in names if _squeezed(name) == wanted]
    if exact or not wanted:
        return exact
    words = set(_words(query))
    matches = [name for name in names if words <= {*_words(name), _squeezed(name)}]
    fewest = min((len(_words(name)) for name in matches), default=0)
    return [name for name in matches if len(_words(name)) == fewest]


def near_matches(query: str, names: Sequence[str]) -> list[str]:
    """Up to three names that look like `query`."""
    by_squeezed = {_squeezed(name): name for name in names}
    return [by_squeezed[key] for key in get_close_matches(_squeezed(query), by_squeezed, n=3, cutoff=0.5)]


def _words(name: str) -> list[str]:
    """Lower-case words and numbers, where a series is split from its number ("rtx3060") and "m4" stays whole."""
    split = re.sub(r"\b(rtx|gtx|rx|arc)(?=\d)", r"\1 ", _MAC.sub("", name.lower()))
    words: list[str] = re.findall(r"[a-z0-9]+", split)
    return [_SYNONYMS.get(word, word) for word in words if word not in _NOISE]


def _squeezed(name: str) -> str:
    return "".join(_words(name))
