"""The sentence over the chart, for every way a model can fit or not."""

from __future__ import annotations

import pytest

from quantgui.checkpoint.resolve import resolve
from quantgui.fit.budget import budget_of
from quantgui.fit.estimate import FitSettings, estimate_all
from quantgui.gui.fit.findings import headline, recommended
from quantgui.hardware.catalogue import target
from quantgui.hardware.custom import custom_target
from quantgui.types import Verdict

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def said(vram_gib: float, ram_gib: float = 64, context: int = 8192) -> tuple[str, str | None]:
    checkpoint, hardware = resolve(LLAMA), custom_target("x", vram_gib, ram_gib)
    estimates = estimate_all(checkpoint, hardware, FitSettings(context=context))
    best = recommended(checkpoint, estimates)
    return headline(checkpoint, estimates, budget_of(hardware), context), best.scheme_id if best else None


@pytest.mark.parametrize(
    ("vram", "ram", "best", "words"),
    [
        (80, 64, "BF16", "as it is, fits 80.0"),
        (12, 64, "INT8", "INT8 is the most precise that fits 12.0"),
        (10, 64, "INT4", "INT4 is the most precise that fits 10.0"),
        (5, 0, "INT2", "INT2 just fits 5.00"),
        (2, 64, "BF16", "Nothing fits 2.00"),
        (2, 0, None, "Nothing here fits 2.00"),
    ],
)
def test_the_title_names_what_to_use(vram: float, ram: float, best: str | None, words: str) -> None:
    sentence, found = said(vram, ram)
    assert found == best
    assert words in sentence.replace("\u00a0", " ")
    assert "8k context" in sentence


def test_the_recommendation_never_has_a_worse_verdict_than_another_row() -> None:
    order = list(Verdict)
    checkpoint = resolve(LLAMA)
    for name in ("RTX 3060", "RTX 4090", "Apple M4 Max"):
        estimates = estimate_all(checkpoint, target(name), FitSettings())
        best = recommended(checkpoint, estimates)
        assert best is not None
        assert all(order.index(best.verdict) <= order.index(e.verdict) for e in estimates)
