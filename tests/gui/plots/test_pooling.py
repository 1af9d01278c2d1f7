from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quantgui.gui.plots.pooling import max_pool


@given(st.lists(st.floats(-1e9, 1e9)), st.integers(1, 600))
def test_the_largest_survives_and_the_limit_holds(values: list[float], limit: int) -> None:
    pooled = max_pool(values, limit)
    assert len(pooled) <= limit
    assert max(pooled, default=None) == max(values, default=None)
    if len(values) <= limit:
        assert pooled == values
