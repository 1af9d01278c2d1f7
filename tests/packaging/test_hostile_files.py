"""The child answers hostile GGUF files in a sentence; how soon is measured by the benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import hostile_files

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["texts near 2^63", "arrays in arrays", "tensors over each other", "zeros"])
def test_the_child_answers_in_a_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    hostile_files.FILES[name](path)
    result = hostile_files.measured(path)
    assert result["answer"].startswith("“…”") and result["answer"].endswith(".")
    assert result["peak bytes"] > 0
