from __future__ import annotations

from dataclasses import replace

from quantgui.report.layer_grid import SMALLEST_SPAN, LayerGrid
from tests.jobs import samples


def test_experts_share_a_cell_and_the_worst_speaks() -> None:
    grid = LayerGrid()
    for expert, sqnr in ((0, 30.0), (1, 12.0), (2, 25.0)):
        report = samples.report(f"layers.3.experts.{expert}.up", sqnr)
        grid.add([replace(report, layer=3, module=f"expert {expert} · up")])
    (cell,) = grid.cells.values()
    assert (cell.sqnr_db, cell.tensors, cell.report.name) == (12.0, 3, "layers.3.experts.1.up")


def test_vectors_and_what_is_outside_the_layers_have_no_cell() -> None:
    grid = LayerGrid()
    report = samples.report()
    grid.add([replace(report, layer=None), replace(report, shape=(64,))])
    assert not grid.cells


def test_an_exact_tensor_is_never_the_worst() -> None:
    grid = LayerGrid()
    exact = replace(samples.report("a", None), layer=0, module="expert 0 · up")
    grid.add([exact, replace(samples.report("b", 20.0), layer=0, module="expert 1 · up")])
    worst = grid.worst()
    assert worst is not None and worst.report.name == "b"


def test_equal_tensors_do_not_look_different() -> None:
    grid = LayerGrid()
    grid.add([replace(samples.report(str(n), 20.0 + n / 100), layer=n) for n in range(4)])
    low, high = grid.span()
    assert high - low >= SMALLEST_SPAN - 1e-9
    assert low <= 20.0 and high >= 20.03
