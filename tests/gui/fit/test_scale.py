from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quantgui.gui.fit.scale import scale_for

bytes_ = st.integers(1, 10**15)


@given(st.lists(bytes_, min_size=1, max_size=12), st.lists(bytes_, min_size=1, max_size=2), st.integers(2, 12))
def test_every_bar_is_seen_and_ticks_are_round_and_few(totals: list[int], sizes: list[int], most: int) -> None:
    scale = scale_for(totals, [(str(size), size) for size in sorted(sizes)], most)
    assert scale.end >= max(totals)
    assert len(scale.ticks) <= most + 2
    positions = [position for position, _ in scale.ticks]
    assert positions[0] == 0
    assert positions == sorted(set(positions))
    assert all(limit.is_far == (limit.nbytes > scale.end) for limit in scale.limits)


def test_a_limit_far_beyond_the_bars_is_named_rather_than_drawn() -> None:
    near, far = scale_for([100], [("near", 150), ("far", 10_000)]).limits
    assert not near.is_far
    assert far.is_far
