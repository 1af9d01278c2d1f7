from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from quantgui.jobs.run_record import RECORD_NAME, REPORTS_NAME, keep_quality, read_record, read_run, write_run
from quantgui.types import UserError
from tests.jobs import samples


def write(folder: Path) -> Path:
    folder.mkdir()
    write_run(folder, samples.record(str(folder)), [samples.report("a"), samples.report("b", None)])
    return folder


def test_a_run_reads_back_as_it_was(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    assert read_run(folder) == (samples.record(str(folder)), (samples.report("a"), samples.report("b", None)))


def test_what_is_measured_later_is_kept_with_the_run(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    before = read_run(folder)
    keep_quality(folder, samples.quality())
    assert read_run(folder) == (replace(before[0], quality=samples.quality()), before[1])
    assert sorted(path.name for path in folder.iterdir()) == sorted((RECORD_NAME, REPORTS_NAME))


def test_a_measurement_that_cannot_be_written_leaves_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "run")
    before = read_record(folder)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep_quality(folder, samples.quality())
    assert read_record(folder) == before
    with pytest.raises(UserError):
        keep_quality(tmp_path, samples.quality())


def test_a_training_is_part_of_the_record(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    record = replace(samples.record(str(tmp_path / "run")), training=samples.training())
    write_run(tmp_path / "run", record, [])
    assert read_record(tmp_path / "run") == record


def test_the_record_is_for_people_too(tmp_path: Path) -> None:
    text = (write(tmp_path / "run") / RECORD_NAME).read_text()
    assert json.loads(text)["result"]["job"]["recipe"]["base"]["id"] == "INT4"
    assert len(text.splitlines()) > 20


def test_a_moved_run_knows_where_it_is(tmp_path: Path) -> None:
    moved = write(tmp_path / "run").rename(tmp_path / "elsewhere")
    assert read_record(moved).result.output == str(moved)


def test_equal_runs_are_equal_files(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    assert (first / REPORTS_NAME).read_bytes() == (second / REPORTS_NAME).read_bytes()


def _bomb(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        for _ in range(64):
            file.write(b" " * 2**20)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (RECORD_NAME, lambda path: path.write_text("[")),
        (RECORD_NAME, lambda path: path.write_text("[" * 100_000)),
        (RECORD_NAME, lambda path: path.write_text('{"result": 3}')),
        (RECORD_NAME, lambda path: path.unlink()),
        (RECORD_NAME, lambda path: path.write_bytes(b" " * (2**24 + 1))),
        (REPORTS_NAME, lambda path: path.write_bytes(path.read_bytes()[:-9])),
        (REPORTS_NAME, lambda path: path.write_bytes(b"no gzip")),
        (REPORTS_NAME, lambda path: path.write_bytes(gzip.compress(b'{"name": 1}\n'))),
        (REPORTS_NAME, lambda path: path.unlink()),
        (REPORTS_NAME, _bomb),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, name: str, damage: Callable[[Path], object]) -> None:
    folder = write(tmp_path / "run")
    damage(folder / name)
    with pytest.raises(UserError) as caught:
        read_run(folder)
    assert caught.value.hint
    assert "\n" not in caught.value.message


def test_a_record_from_a_newer_version_with_more_fields_still_opens(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    data = json.loads((folder / RECORD_NAME).read_text())
    data["later"] = {"anything": 1}
    (folder / RECORD_NAME).write_text(json.dumps(data))
    assert replace(read_record(folder)) == samples.record(str(folder))
