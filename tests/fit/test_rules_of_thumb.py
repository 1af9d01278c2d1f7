from __future__ import annotations

import pytest

from quantgui.fit.rules_of_thumb import rule_of_thumb
from quantgui.hardware.catalogue import target


@pytest.mark.parametrize(
    ("device", "parameters", "words"),
    [
        ("A100", 8_000_000_000, "BF16 or FP16"),
        ("RTX 3060", 8_000_000_000, "4 or 8 bits"),
        ("RTX 3060", 70_000_000_000, "start at 4 bits"),
        ("RTX 4090", None, "4 or 8 bits"),
        ("Apple M4", 14_000_000_000, "start at 4 bits"),
        ("Snapdragon 8 Elite", 3_000_000_000, "Q4_K_M"),
        ("Desktop CPU, DDR5-6000 dual channel", 8_000_000_000, "Q4_K_M"),
    ],
)
def test_the_rules_people_know(device: str, parameters: int | None, words: str) -> None:
    sentence = rule_of_thumb(target(device), parameters)
    assert words in sentence
    assert "FP32" in sentence
