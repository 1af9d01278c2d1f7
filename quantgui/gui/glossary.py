"""One sentence for every technical word, from one file that the documentation shares (resources/glossary.json)."""

from __future__ import annotations

import json
from functools import cache

from quantgui.resource_files import resource


@cache
def entries() -> dict[str, str]:
    """Every word with its explanation, in the file's order (alphabetical)."""
    return json.loads(resource("glossary.json").read_text(encoding="utf-8"))


@cache
def _by_key() -> dict[str, str]:
    return {word.lower(): text for word, text in entries().items()}


def explain(word: str) -> str:
    """The explanation of a word, case ignored; "" for a word the glossary does not have."""
    return _by_key().get(word.lower(), "")
