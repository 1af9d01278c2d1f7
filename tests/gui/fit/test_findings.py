"""The sentence over the table, for every way a model can fit or not."""

from __future__ import annotations

import pytest

from quantgui.checkpoint.resolve import resolve
from quantgui.fit.budget import budget_of
from quantgui.fit.estimate import estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.gui.fit.findings import headline, recommended, subtitle
from quantgui.hardware.custom import custom_target

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.mark.parametrize(("vram", "ram"), [(80, 64), (12, 64), (6, 0)])
def test_the_title_names_the_recommended_precision_and_why(vram: float, ram: float) -> None:
    checkpoint, hardware = resolve(LLAMA), custom_target("x", vram, ram)
    estimates = estimate_table(checkpoint, hardware, FitSettings())
    best = recommended(estimates, hardware)
    assert best is not None
    said = headline(best, estimates, budget_of(hardware))
    assert said.startswith(f"{best.scheme_id}: ")
    assert not said.endswith(".")


def test_where_nothing_runs_the_title_says_how_much_is_missing() -> None:
    checkpoint, hardware = resolve(LLAMA), custom_target("x", 1, 0)
    estimates = estimate_table(checkpoint, hardware, FitSettings())
    assert recommended(estimates, hardware) is None
    least = min(estimates, key=lambda e: e.total_bytes)
    said = headline(None, estimates, budget_of(hardware))
    assert "Nothing here fits 1.00\u00a0GiB" in said
    assert least.scheme_id in said


def test_the_line_below_says_what_was_estimated() -> None:
    checkpoint, hardware = resolve(LLAMA), custom_target("My box", 12, 64)
    said = subtitle(checkpoint, hardware, FitSettings(context=16384, slots=4, kv_dtype="q8_0"))
    for words in (checkpoint.name, "My box", "16k context", "4 slots", "q8_0"):
        assert words in said
    assert "batch" not in said
