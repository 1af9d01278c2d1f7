"""The runner prints one JSON object, and a benchmark that fails does not stop the others."""

from __future__ import annotations

import json
from pathlib import Path

import bench
import bench_runner
import pytest


@pytest.fixture
def found(monkeypatch):
    def broken(work: Path) -> dict:
        raise RuntimeError("no disk")

    def fine(work: Path) -> dict:
        assert list(work.iterdir()) == []
        return {"seconds": 1.5}

    benchmarks = {"bad": bench.Benchmark("bad", "fails", broken), "good": bench.Benchmark("good", "works", fine)}
    monkeypatch.setattr(bench, "discover", lambda: benchmarks)
    return benchmarks


def test_all_run_and_a_failure_is_told(found, capsys):
    assert bench_runner.main([]) == 1
    output = capsys.readouterr()
    data = json.loads(output.out)
    assert data["results"] == {"bad": {"error": "RuntimeError: no disk"}, "good": {"seconds": 1.5}}
    assert data["machine"]["cores"]
    assert "good" in output.err


def test_a_named_one_runs_alone_into_a_file(found, tmp_path):
    assert bench_runner.main(["good", "--json", str(tmp_path / "r.json")]) == 0
    assert set(json.loads((tmp_path / "r.json").read_text())["results"]) == {"good"}


def test_an_unknown_name_is_answered_with_the_known_ones(found, capsys):
    assert bench_runner.main(["fast"]) == 2
    assert "bad, good" in capsys.readouterr().err


def test_the_list_has_a_line_each(found, capsys):
    assert bench_runner.main(["--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
