from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from quantgui.jobs.process_tree import JOB_VARIABLE
from quantgui.jobs.run_library import delete_run, finished_runs, remove_partial, stale_partials
from quantgui.jobs.run_record import RECORD_NAME, write_run
from quantgui.types import UserError
from tests.jobs import samples


def run_in(folder: Path, created: str = "2026-01-01T00:00:00+00:00") -> Path:
    folder.mkdir(parents=True)
    write_run(folder, samples.record(str(folder), created), [samples.report()])
    return folder


def test_runs_are_found_once_and_newest_first(tmp_path: Path) -> None:
    old = run_in(tmp_path / "outputs" / "old", "2025-01-01T00:00:00+00:00")
    new = run_in(tmp_path / "outputs" / "new", "2026-01-01T00:00:00+00:00")
    run_in(tmp_path / "outputs" / "unfinished.partial-0123abcd")
    found = finished_runs([tmp_path / "outputs", old, tmp_path / "absent"])
    assert [run.folder for run in found] == [new, old]


def test_a_damaged_run_is_listed_with_its_problem_and_can_be_deleted(tmp_path: Path) -> None:
    folder = run_in(tmp_path / "run")
    (folder / RECORD_NAME).write_text("{")
    (run,) = finished_runs([tmp_path])
    assert run.record is None and "damaged" in run.problem
    delete_run(folder)
    assert not folder.exists()


def test_deleting_removes_links_but_not_what_they_point_to(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious").write_text("x")
    folder = run_in(tmp_path / "run")
    (folder / "link").symlink_to(mine)
    delete_run(folder)
    assert not folder.exists()
    assert (mine / "precious").exists()


def test_nothing_else_is_deleted(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    link = tmp_path / "link"
    link.symlink_to(run_in(tmp_path / "run"))
    crowded = run_in(tmp_path / "home")
    (crowded / "documents").mkdir()
    for folder in (plain, link, crowded, tmp_path / "absent"):
        with pytest.raises(UserError):
            delete_run(folder)
    assert plain.exists() and (tmp_path / "run").exists() and crowded.exists()


def test_stale_partials_are_measured_and_removed(tmp_path: Path) -> None:
    partial = tmp_path / "model.partial-0123abcd"
    partial.mkdir()
    (partial / "weights").write_bytes(b"x" * 1000)
    (tmp_path / "model.partial-xyz").mkdir()
    (tmp_path / "link.partial-0123abcd").symlink_to(partial)
    (stale,) = stale_partials([tmp_path])
    assert (stale.folder, stale.nbytes) == (partial, 1000)
    remove_partial(partial)
    assert not partial.exists()
    with pytest.raises(UserError):
        remove_partial(tmp_path / "model.partial-xyz")


def test_a_living_job_keeps_its_partial_output(tmp_path: Path) -> None:
    partial = tmp_path / "model.partial-0123abcd"
    partial.mkdir()
    environment = {**os.environ, JOB_VARIABLE: "0123abcd"}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment) as process:
        assert stale_partials([tmp_path]) == ()
        with pytest.raises(UserError, match="still going on"):
            remove_partial(partial)
        process.kill()
    assert len(stale_partials([tmp_path])) == 1
