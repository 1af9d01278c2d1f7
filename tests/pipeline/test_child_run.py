"""The run in a real child process: reloaded by transformers, killed, cancelled, out of disk, tampered with."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from quantgui.jobs.child import ChildProcess, worker_command
from quantgui.jobs.codec import encode_job
from quantgui.jobs.events import Cancelled, Event, Failed, Finished, TensorDone, VerificationStatus
from quantgui.jobs.job import QuantizeJob, ReadJob, VerifyJob
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec

pytestmark = pytest.mark.slow

INT4 = Recipe(SchemeSpec("INT4", {"group_size": 32}))
MIXED = Recipe(
    SchemeSpec("INT4", {"group_size": 32, "symmetric": False}),
    (Rule("*attn*", SchemeSpec("INT8")), Rule("*layers.0.mlp*", SchemeSpec("FP8"))),
)


def run_child(job) -> list[Event]:
    return list(ChildProcess(job).events())


@pytest.mark.parametrize(
    "recipe",
    [INT4, MIXED, *(Recipe(SchemeSpec(scheme_id)) for scheme_id in ("FP16", "NF4-DQ", "FP4", "LLM.int8"))],
    ids=lambda recipe: recipe.base.id + ("-mixed" if recipe.rules else ""),
)
def test_the_output_is_reloaded_by_transformers_and_compared(recipe, tiny_llama_sharded, tmp_path):
    events = run_child(QuantizeJob(str(tiny_llama_sharded), str(tmp_path / "out"), recipe))
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    assert finished.quantized is not None
    check = finished.quantized.verification
    assert check.status is VerificationStatus.VERIFIED
    assert check.tensors_compared == 20
    assert "transformers" in check.library


def test_the_check_notices_a_missing_part(tiny_llama_folder, tmp_path):
    out = tmp_path / "out"
    run_child(QuantizeJob(str(tiny_llama_folder), str(out), INT4, verify=False))
    tensors = load_file(out / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight_shape"
    del tensors[name]
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    outcome = run_child(VerifyJob(str(out), str(tiny_llama_folder), INT4))[-1]
    assert isinstance(outcome, Failed) or (
        isinstance(outcome, Finished)
        and outcome.verification is not None
        and outcome.verification.status is VerificationStatus.FAILED
    )


def test_the_check_notices_a_config_that_reads_the_codes_differently(tiny_llama_folder, tmp_path):
    out = tmp_path / "out"
    run_child(QuantizeJob(str(tiny_llama_folder), str(out), INT4, verify=False))
    config = out / "config.json"
    config.write_text(config.read_text().replace('"group_size": 32', '"group_size": 64'))
    outcome = run_child(VerifyJob(str(out), str(tiny_llama_folder), INT4))[-1]
    verified = isinstance(outcome, Finished) and outcome.verification is not None
    assert not verified or outcome.verification.status is VerificationStatus.FAILED  # type: ignore[union-attr]


def test_without_room_for_the_model_the_library_is_asked_layer_by_layer(tiny_llama_folder, tmp_path, monkeypatch):
    from quantgui.pipeline import reload

    out = tmp_path / "out"
    run_child(QuantizeJob(str(tiny_llama_folder), str(out), MIXED, verify=False))
    monkeypatch.setattr(reload, "_fits_memory", lambda _: False)
    check = reload.reload_and_compare(VerifyJob(str(out), str(tiny_llama_folder), MIXED), lambda _: None)
    assert check.status is VerificationStatus.VERIFIED
    assert check.tensors_compared == 20


def first_tensor(job: QuantizeJob) -> tuple[ChildProcess, Iterator[Event]]:
    """A child that has finished its first tensor and works on."""
    child = ChildProcess(job)
    events = child.events()
    for event in events:
        assert not isinstance(event, Finished | Failed)
        if isinstance(event, TensorDone):
            break
    return child, events


def test_killed_by_the_system_it_ends_in_words_and_leaves_nothing(tiny_llama_folder, tmp_path):
    child, events = first_tensor(QuantizeJob(str(tiny_llama_folder), str(tmp_path / "out"), INT4))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    outcome = list(events)[-1]
    assert isinstance(outcome, Failed)
    assert "memory" in outcome.message + outcome.hint
    assert [p.name for p in tmp_path.iterdir()] == ["llama"]


def test_cancelled_it_leaves_nothing_and_no_process(tiny_llama_folder, tmp_path):
    child, events = first_tensor(QuantizeJob(str(tiny_llama_folder), str(tmp_path / "out"), INT4))
    threading.Timer(0.2, child.cancel).start()
    assert isinstance(list(events)[-1], Cancelled)
    assert [p.name for p in tmp_path.iterdir()] == ["llama"]
    assert child.pid is not None
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk takes root on Linux")
def test_a_disk_that_fills_up_ends_in_words_and_leaves_nothing(tiny_llama_folder, tmp_path, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this container may not mount")
    try:
        from quantgui.pipeline import preflight, run

        monkeypatch.setattr(preflight, "_check_disk", lambda *_: None)  # the disk fills up after the check
        with pytest.raises(OSError, match="No space left"):
            run(QuantizeJob(str(tiny_llama_folder), str(disk / "out"), INT4), lambda _: None)
        assert list(disk.iterdir()) == []
        monkeypatch.undo()
        outcome = run_child(QuantizeJob(str(tiny_llama_folder), str(disk / "out"), INT4))[-1]
        assert isinstance(outcome, Failed)
        assert outcome.message.startswith("The disk has")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_folder_without_permission_is_told_in_words(tiny_llama_folder, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    outcome = run_child(QuantizeJob(str(tiny_llama_folder), str(locked / "out"), INT4))[-1]
    assert isinstance(outcome, Failed)
    assert "Nothing can be written" in outcome.message


def test_a_pickled_file_is_read_by_the_child(tiny_llama_folder, tmp_path):
    import torch

    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_text((tiny_llama_folder / "config.json").read_text())
    weights = {k: torch.from_numpy(v) for k, v in load_file(tiny_llama_folder / "model.safetensors").items()}
    torch.save(weights, folder / "pytorch_model.bin")
    (tiny_llama_folder / "model.safetensors").unlink()
    outcome = run_child(ReadJob(str(folder)))[-1]
    assert isinstance(outcome, Finished)
    assert outcome.checkpoint is not None
    assert len(outcome.checkpoint.tensors) == len(weights)
    done = run_child(QuantizeJob(str(folder), str(tmp_path / "out"), INT4))[-1]
    assert isinstance(done, Finished), done
    assert done.quantized is not None
    assert done.quantized.verification.status is VerificationStatus.VERIFIED


def test_it_ends_by_itself_while_the_parent_still_holds_its_stdin(tmp_path):
    pipe = subprocess.PIPE
    with subprocess.Popen(worker_command(), stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin and process.stderr
        process.stdin.write(encode_job(ReadJob(str(tmp_path / "nothing"))) + b"\n")
        process.stdin.flush()
        assert process.wait(60) == 1  # not by a signal: the interpreter aborts where a thread holds on to its stdin
        assert not process.stderr.read()


def test_the_command_line_exits_with_zero_only_on_success(tiny_llama_folder, tmp_path):
    command = [sys.executable, "-m", "quantgui", "quantize", str(tiny_llama_folder), "--no-verify"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, "--scheme", "INT8", "--out", str(tmp_path / "a")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "bits/weight" in done.stdout
    failed = subprocess.run(
        [*command, "--scheme", "INT9", "--out", str(tmp_path / "b")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "INT9" in failed.stderr
    assert "Traceback" not in failed.stderr
