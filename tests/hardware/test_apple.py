from __future__ import annotations

import json
import sys

import pytest

from quantgui.hardware import apple
from quantgui.types import GIB

DISPLAYS = json.dumps(
    {"SPDisplaysDataType": [{"sppci_model": "Apple M2 Max", "spdisplays_vendor": "sppci_vendor_Apple"}]}
)


def test_metals_own_figure_comes_first() -> None:
    (gpu,) = apple.from_figures(DISPLAYS, f"{64 * GIB}\n", "0\n", working_set=48 * GIB)
    assert (gpu.name, gpu.memory_bytes, gpu.unified) == ("Apple M2 Max", 48 * GIB, True)


def test_a_raised_limit_comes_before_the_stock_rule() -> None:
    (raised,) = apple.from_figures(DISPLAYS, str(64 * GIB), "57344", None)
    (stock,) = apple.from_figures(DISPLAYS, str(64 * GIB), "0", None)
    assert (raised.memory_bytes, stock.memory_bytes) == (56 * GIB, 48 * GIB)


def test_missing_tools_leave_a_gpu_without_a_name() -> None:
    (gpu,) = apple.from_figures("", str(16 * GIB), "", None)
    assert gpu.name == "Apple GPU"
    assert 0 < gpu.memory_bytes < 16 * GIB


def test_no_memory_figure_is_an_error_for_the_caller_to_note() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        apple.from_figures(DISPLAYS, "", "0", None)


@pytest.mark.skipif(sys.platform == "darwin", reason="on a Mac it finds one")
def test_other_systems_have_none() -> None:
    assert apple.gpus() == ()
    assert apple.metal_working_set() is None
