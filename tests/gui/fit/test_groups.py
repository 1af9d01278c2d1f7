from __future__ import annotations

import pytest

from quantgui.checkpoint.resolve import resolve
from quantgui.fit.estimate import estimate_table
from quantgui.fit.settings import FitSettings
from quantgui.gui.fit.columns import COLUMNS
from quantgui.gui.fit.groups import GGUF, HUGGING_FACE, ORDER, group_of, grouped, order_for
from quantgui.hardware.catalogue import target
from quantgui.types import MemoryEstimate


@pytest.fixture(scope="module")
def estimates() -> tuple[MemoryEstimate, ...]:
    return estimate_table(resolve("meta-llama/Llama-3.1-8B-Instruct"), target("RTX 3060"), FitSettings())


def ids(groups: object, group_id: str) -> list[str]:
    return next([row.scheme_id for row in group.rows] for group in groups if group.id == group_id)  # type: ignore[attr-defined]


def test_every_row_is_in_exactly_one_group_once_all_are_unfolded(estimates) -> None:
    groups = grouped(estimates, unfolded=(HUGGING_FACE, GGUF, "MLX"))
    shown = [row.scheme_id for group in groups for row in group.rows]
    assert sorted(shown) == sorted(e.scheme_id for e in estimates)
    assert all(group.folded == 0 for group in groups)


def test_the_group_of_the_recommended_row_comes_first(estimates) -> None:
    for hardware in (target("RTX 3060"), target("Apple M4")):
        for best in estimates:
            order = order_for(hardware, best)
            assert order[0] == group_of(best)
            assert sorted(order) == sorted(ORDER)


def test_folding_hides_rare_types_but_never_those_to_keep(estimates) -> None:
    folded = grouped(estimates)
    assert "Q4_K_M" in ids(folded, GGUF)
    assert "Q3_K_L" not in ids(folded, GGUF)
    assert "Q3_K_L" in ids(grouped(estimates, keep=("Q3_K_L",)), GGUF)
    for group in folded:
        assert group.total == len(group.rows) + group.folded
        assert group.rows


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.title)
@pytest.mark.parametrize("descending", [True, False])
def test_rows_are_sorted_within_their_group_and_unknown_ones_stand_last(estimates, column, descending) -> None:
    for group in grouped(estimates, (GGUF, HUGGING_FACE), sort=column.sort, descending=descending):
        keys = [column.sort(row) for row in group.rows]
        known = [key for key in keys if key is not None]
        assert known == sorted(known, reverse=descending)
        assert keys[: len(known)] == known
