"""Where a run writes: whatever the path looks like, nothing that was there is lost and nothing unfinished stays."""

import os
from pathlib import Path

import pytest

from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Event, Finished, Log
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RECORD_NAME, read_record
from quantgui.pipeline import run
from quantgui.pipeline.quantize import _publish
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError

INT4 = Recipe(SchemeSpec("INT4", {"group_size": 32}))


def quantize(source: Path, output: str, **options) -> list[Event]:
    events: list[Event] = []
    run(QuantizeJob(str(source), output, INT4, **{"verify": False, **options}), events.append)
    return events


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_slash_at_the_end_and_a_relative_path(tiny_llama_folder, tmp_path, monkeypatch):
    quantize(tiny_llama_folder, f"{tmp_path}/one/")
    monkeypatch.chdir(tmp_path)
    quantize(tiny_llama_folder, "two")
    assert names(tmp_path) == ["llama", "one", "two"]
    assert (tmp_path / "one" / RECORD_NAME).is_file()
    assert (tmp_path / "two" / RECORD_NAME).is_file()


def test_a_linked_output_is_replaced_behind_its_link(tiny_llama_folder, tmp_path):
    quantize(tiny_llama_folder, str(tmp_path / "real"))
    (tmp_path / "link").symlink_to(tmp_path / "real")
    before = read_record(tmp_path / "real").result.job.id
    quantize(tiny_llama_folder, str(tmp_path / "link"), overwrite=True)
    assert read_record(tmp_path / "real").result.job.id != before
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path) == ["link", "llama", "real"]


def test_a_run_with_other_files_in_it_is_not_replaced(tiny_llama_folder, tmp_path):
    out = tmp_path / "out"
    quantize(tiny_llama_folder, str(out))
    (out / "report.html").write_text("made again at any time")
    quantize(tiny_llama_folder, str(out), overwrite=True)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"more than the run: notes\.txt"):
        quantize(tiny_llama_folder, str(out), overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"


def test_a_model_inside_the_output_is_not_deleted_with_it(tiny_llama_folder, tmp_path):
    out = tmp_path / "out"
    quantize(tiny_llama_folder, str(out))
    tiny_llama_folder.rename(out / "model")
    with pytest.raises(UserError, match="inside the output"):
        quantize(out / "model", str(out), overwrite=True)


def test_folders_made_for_a_run_that_fails_go_with_it(tiny_llama_folder, tmp_path, monkeypatch):
    from quantgui.pipeline import quantize as module

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_folder", fail)
    with pytest.raises(OSError, match="No space"):
        quantize(tiny_llama_folder, str(tmp_path / "a" / "b" / "out"))
    assert names(tmp_path) == ["llama"]


def job_between_the_renames(tmp_path: Path) -> QuantizeJob:
    """A run that was killed after the old output had moved away and before the new one had its name."""
    job = QuantizeJob("nothing", str(tmp_path / "out"), INT4, overwrite=True)
    for folder, text in ((job.replaced_output, "old"), (job.partial_output, "new")):
        Path(folder).mkdir()
        (Path(folder) / RECORD_NAME).write_text(text)
    return job


def test_a_kill_between_the_two_renames_gives_the_old_run_its_name_back(tmp_path):
    job = job_between_the_renames(tmp_path)
    list(ChildProcess(job, ["false"]).events())
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / RECORD_NAME).read_text() == "old"


def test_a_kill_after_the_second_rename_keeps_the_new_run(tmp_path):
    job = job_between_the_renames(tmp_path)
    Path(job.partial_output).rename(job.target)
    list(ChildProcess(job, ["false"]).events())
    assert names(tmp_path) == ["out"]
    assert (tmp_path / "out" / RECORD_NAME).read_text() == "new"


def test_what_appeared_during_the_run_is_not_overwritten(tmp_path):
    job = QuantizeJob("nothing", str(tmp_path / "out"), INT4)
    Path(job.partial_output).mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(UserError, match="already exists"):
        _publish(job)
    assert (tmp_path / "out" / "mine").exists()


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_companions_that_are_no_files_of_the_model_stay_behind(tiny_llama_folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("key")
    os.mkfifo(tiny_llama_folder / "tokenizer.json")
    (tiny_llama_folder / "vocab.json").symlink_to(secret)
    (tiny_llama_folder / "LICENSE").symlink_to("/dev/zero")
    (tiny_llama_folder / "merges.txt").symlink_to(tiny_llama_folder / "real.txt")
    (tiny_llama_folder / "real.txt").write_text("within")
    with (tiny_llama_folder / "README.md").open("wb") as card:
        card.truncate(2**33)
    events = quantize(tiny_llama_folder, str(tmp_path / "out"))
    assert isinstance(events[-1], Finished)
    written = set(names(tmp_path / "out"))
    assert "merges.txt" in written
    assert not written & {"tokenizer.json", "vocab.json", "LICENSE"}
    assert (tmp_path / "out" / "README.md").stat().st_size < 10_000
    said = [event.text for event in events if isinstance(event, Log)]
    assert any("vocab.json" in text and "leads out" in text for text in said)
    assert any("README.md" in text for text in said)


def test_tokenizers_of_the_hub_cache_come_along(tiny_llama_folder, tmp_path):
    repository = tmp_path / "models--a--b"
    (repository / "blobs").mkdir(parents=True)
    (repository / "snapshots").mkdir()
    snapshot = tiny_llama_folder.rename(repository / "snapshots" / "0123")
    (repository / "blobs" / "abc").write_text("{}")
    (snapshot / "tokenizer.json").symlink_to("../../blobs/abc")
    quantize(snapshot, str(tmp_path / "out"))
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "{}"


def test_a_cast_beside_packed_weights_leaves_the_dtype_of_the_model(tiny_llama_bf16, tmp_path):
    import json

    recipe = Recipe(INT4.base, (Rule("*norm*", SchemeSpec("FP32")),))
    run(QuantizeJob(str(tiny_llama_bf16), str(tmp_path / "out"), recipe, verify=False), lambda _: None)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["torch_dtype"] == "bfloat16"
