"""Text for the bundled model: the Python standard library's own sources and documentation topics.

Everything comes from the running interpreter (CPython 3.11.7 for the shipped model) and is covered by the PSF licence.
Documents are dealt into four disjoint splits by a hash of their name, so that a rebuild deals the same hands:
`train`, `validation`, `calibration` and `evaluation`. Texts that are shipped in `resources/text` come only from
documents without a copyright line of a third party.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sysconfig
from dataclasses import dataclass
from pathlib import Path

SPLITS = ("train", "validation", "calibration", "evaluation")
SHIPPED_CHARACTERS = {"training": 600_000, "calibration": 220_000, "evaluation": 300_000}
MOST_CHARACTERS_OF_A_DOCUMENT = 24_000
LONG_LINE = 40
MOST_SHARED_LINES = 0.03
EXCLUDED_FOLDERS = {"site-packages", "__pycache__", "idlelib", "lib2to3", "cjkencodings"}


@dataclass(frozen=True)
class Document:
    """One text of the corpus: a module's source or one documentation topic."""

    name: str
    text: str

    @property
    def split(self) -> str:
        """The split this document belongs to, decided by its name alone."""
        bucket = int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % 100
        if bucket < 5:
            return "evaluation"
        if bucket < 8:
            return "calibration"
        return "validation" if bucket < 10 else "train"

    @property
    def is_shippable(self) -> bool:
        """Whether the text may be shipped on its own: no third party's copyright line, no table of characters."""
        return "copyright" not in self.text.lower() and not self.name.startswith("encodings/")

    @property
    def long_lines(self) -> set[str]:
        """Lines that two documents share only where one copies the other."""
        return {stripped for line in self.text.splitlines() if len(stripped := line.strip()) > LONG_LINE}


def documentation_topics() -> list[Document]:
    """The language reference as `help()` prints it: one document per topic."""
    spec = importlib.util.find_spec("pydoc_data.topics")
    assert spec is not None and spec.loader is not None
    from pydoc_data.topics import topics

    return [Document(f"topics/{name}", text) for name, text in sorted(topics.items())]


def library_sources() -> list[Document]:
    """Every module of the standard library that decodes as UTF-8, tests included."""
    root = Path(sysconfig.get_paths()["stdlib"])
    documents = []
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if EXCLUDED_FOLDERS & set(relative.parts) or not 200 <= path.stat().st_size <= 400_000:
            continue
        try:
            documents.append(Document(relative.as_posix(), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return [d for d in documents if d.name != "pydoc_data/topics.py"]


def documents_by_split() -> dict[str, list[Document]]:
    """All documents, dealt into the four splits."""
    dealt: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for document in documentation_topics() + library_sources():
        dealt[document.split].append(document)
    return dealt


def shipped_text(documents: list[Document], limit: int, seen: list[Document]) -> str:
    """Excerpts of many documents, at most `limit` characters, in a fixed shuffled order.

    A document of which more than a few lines stand in one of `seen` as well (topics quote each other) is left out.
    """
    seen_lines: set[str] = set().union(*(d.long_lines for d in seen))
    eligible = sorted(
        (d for d in documents if d.is_shippable), key=lambda d: hashlib.sha256(d.text.encode()).hexdigest()
    )
    chosen: list[str] = []
    total = 0
    for document in eligible:
        lines = document.long_lines
        if len(lines & seen_lines) > MOST_SHARED_LINES * len(lines):
            continue
        excerpt = document.text[:MOST_CHARACTERS_OF_A_DOCUMENT].rpartition("\n")[0]
        if total + len(excerpt) <= limit:
            chosen.append(excerpt.strip("\n"))
            total += len(excerpt)
    return "\n\n".join(chosen) + "\n"
