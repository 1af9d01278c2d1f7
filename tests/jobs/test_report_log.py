from __future__ import annotations

import pytest

from quantgui.jobs.report_log import ReportLog
from tests.jobs import samples


def test_adding_leaves_the_older_log_as_it_was() -> None:
    empty = ReportLog()
    one = empty.add(samples.report("a"))
    two = one.add(samples.report("b"))
    assert (list(empty), list(one), list(two)) == ([], ["a"], ["a", "b"])
    with pytest.raises(KeyError):
        one["b"]


def test_two_futures_of_one_log_do_not_mix() -> None:
    one = ReportLog().add(samples.report("a"))
    left, right = one.add(samples.report("left")), one.add(samples.report("right"))
    assert (list(left), list(right)) == (["a", "left"], ["a", "right"])
    assert left.extends(one)
    assert not right.extends(left)


def test_a_repeated_tensor_replaces_its_report() -> None:
    log = ReportLog((samples.report("a", 1.0), samples.report("b"))).add(samples.report("a", 2.0))
    assert list(log) == ["a", "b"]
    assert log["a"].error and log["a"].error.sqnr_db == 2.0


def test_since_is_what_a_view_has_to_add() -> None:
    log = ReportLog((samples.report("a"),)).add(samples.report("b")).add(samples.report("c"))
    assert [report.name for report in log.since(1)] == ["b", "c"]
