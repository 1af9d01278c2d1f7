"""quantize and inspect on the command line: options to recipes, tables, JSON lines, exit codes."""

import json
import signal
import subprocess
import sys

import pytest

from quantgui.__main__ import main
from quantgui.cli.main import build_parser
from quantgui.cli.quantize import recipe_of
from quantgui.cli.scheme_options import SHORT
from quantgui.jobs.codec import decode_event, to_json
from quantgui.jobs.events import TERMINAL, Cancelled, Failed, Finished, ImatrixResult, TensorDone
from quantgui.jobs.run_record import RECORD_NAME
from quantgui.quant.registry import rows
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError


def recipe(*options: str) -> Recipe:
    return recipe_of(build_parser().parse_args(["quantize", "demo", *options]))


def test_options_become_a_recipe():
    assert recipe("--scheme", "int4") == Recipe(SchemeSpec("INT4"))
    grouped = recipe("--scheme", "INT4", "--group", "64", "--asymmetric")
    assert grouped.base.parameters == {"granularity": "group", "group_size": 64, "symmetric": False}
    ruled = recipe("--scheme", "INT4", "--rule", "*attn*=INT8", "--rule", "re:layers\\.0\\.=keep")
    assert ruled.rules == (Rule("*attn*", SchemeSpec("INT8")), Rule("re:layers\\.0\\.", None))


def test_a_group_size_reaches_only_the_schemes_that_have_one():
    mixed = recipe("--scheme", "INT4", "--group", "64", "--rule", "*attn*=FP8")
    assert mixed.rules[0].scheme == SchemeSpec("FP8")


def test_every_declared_setting_has_an_option(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    trained = recipe(
        *("--scheme", "qat-int4", "--group", "64", "--steps", "5", "--learning-rate", "2e-5"),
        *("--no-distill", "--calibration", "mine.txt", "--rule", "*attn*=INT8"),
    )
    assert trained.base.parameters == {
        "group_size": 64,
        "steps": 5,
        "learning_rate": 2e-5,
        "distill": False,
        "calibration": str(tmp_path / "mine.txt"),
    }
    assert trained.rules[0].scheme == SchemeSpec("INT8", {"granularity": "group", "group_size": 64})
    for entry in rows():
        for parameter in entry.parameters:
            if parameter.name not in SHORT:
                option = f"--{parameter.name.replace('_', '-')}"
                assert option in build_parser()._subparsers._group_actions[0].choices["quantize"].format_help()  # type: ignore[union-attr,index]


@pytest.mark.parametrize(
    "options",
    [(), ("--scheme", "INT5"), ("--scheme", "FP16", "--group", "64"), ("--scheme", "INT4", "--rule", "attn")],
)
def test_mistakes_are_told_in_words(options):
    with pytest.raises(UserError):
        recipe(*options)


def test_a_recipe_file_is_taken_instead(tmp_path):
    saved = Recipe(SchemeSpec("INT3", {"group_size": 32}), (Rule("*mlp*", None),), "mine")
    (tmp_path / "r.json").write_text(to_json(saved, indent=2))
    assert recipe("--recipe", str(tmp_path / "r.json")) == saved
    (tmp_path / "bad.json").write_text('{"base": 3}')
    with pytest.raises(UserError, match="not a recipe"):
        recipe("--recipe", str(tmp_path / "bad.json"))
    with pytest.raises(UserError, match="cannot be read"):
        recipe("--recipe", str(tmp_path / "none.json"))


@pytest.mark.parametrize("options", [("--scheme", "INT8"), ("--rule", "*=INT8"), ("--group", "64")])
def test_a_recipe_file_is_not_mixed_with_other_settings(tmp_path, options):
    (tmp_path / "r.json").write_text(to_json(Recipe(SchemeSpec("INT3"))))
    with pytest.raises(UserError, match="recipe file"):
        recipe("--recipe", str(tmp_path / "r.json"), *options)


def test_an_earlier_run_is_replaced_only_when_asked(tmp_path, capsys):
    (tmp_path / RECORD_NAME).write_text("{}")
    assert main(["quantize", "demo", "--scheme", "INT4", "--out", str(tmp_path)]) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_the_json_stream_is_terminal_even_without_a_job(capsys):
    assert main(["quantize", "demo", "--scheme", "NOPE", "--out", "x", "--json"]) == 1
    captured = capsys.readouterr()
    failed = decode_event(captured.out)
    assert isinstance(failed, Failed)
    assert failed.message in captured.err


def test_the_list_names_every_scheme(capsys):
    assert main(["quantize", "demo", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"INT4", "FP8", "BF16"} <= {entry["id"] for entry in listed}
    assert main(["quantize", "demo", "--list"]) == 0
    assert "group_size = 128" in capsys.readouterr().out


def test_errors_go_to_stderr_with_exit_code_one(capsys):
    assert main(["quantize", "demo", "--scheme", "INT4"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "--out" in captured.err


@pytest.mark.slow
def test_quantize_then_inspect_against_the_original(tiny_llama_folder, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["quantize", str(tiny_llama_folder), "--scheme", "INT4", "--group", "32", "--out", str(out)]
    assert main([*arguments, "--no-verify", "--json"]) == 0
    events = [decode_event(line) for line in capsys.readouterr().out.splitlines()]
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, TERMINAL) for event in events[:-1])
    told = {e.report.name: e.report.error for e in events if isinstance(e, TensorDone)}
    assert main(["inspect", str(out), "--against", str(tiny_llama_folder), "--json"]) == 0
    inspected = [decode_event(line) for line in capsys.readouterr().out.splitlines()]
    errors = {e.report.name: e.report.error for e in inspected if isinstance(e, TensorDone)}
    assert errors.keys() == told.keys()
    for name, error in errors.items():
        before = told[name]
        if before is None:  # kept as it was: now compared, and equal
            assert error is not None
            assert error.max_abs == 0
        else:
            assert error is not None
            assert error.sqnr_db == pytest.approx(before.sqnr_db, rel=1e-5)


@pytest.mark.slow
def test_inspect_prints_a_table_and_one_tensor(tiny_llama_folder, capsys):
    assert main(["inspect", str(tiny_llama_folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 20 + 1
    assert lines[-1].startswith("20 tensors") and lines[-1].endswith("bits/weight")
    assert "SQNR" not in lines[0]  # there is nothing to compare with
    assert main(["inspect", str(tiny_llama_folder), "--tensor", "model.norm.weight"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert main(["inspect", str(tiny_llama_folder), "--tensor", "nothing"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no tensor called nothing" in captured.err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_and_ends_the_stream(tiny_llama_folder, tmp_path, number):
    command = [sys.executable, "-m", "quantgui", "quantize", str(tiny_llama_folder), "--scheme", "INT4", "--json"]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        process.send_signal(number)
        lines = process.stdout.read().splitlines()
    assert process.returncode == 128 + number
    assert isinstance(decode_event(lines[-1]), Cancelled)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.slow
def test_a_float_gguf_is_inspected(tmp_path, capsys):
    import gguf
    import numpy as np

    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    weight = np.linspace(-1, 1, 64 * 32, dtype=np.float32).reshape(64, 32)
    writer.add_tensor("blk.0.ffn_up.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert main(["inspect", str(path), "--json"]) == 0
    events = [decode_event(line) for line in capsys.readouterr().out.splitlines()]
    (report,) = [e.report for e in events if isinstance(e, TensorDone)]
    assert report.shape == (64, 32)
    assert report.before is not None
    assert (report.before.low, report.before.high) == (-1.0, 1.0)
    assert report.channel_max == pytest.approx(np.abs(weight).max(axis=1).tolist())


def test_imatrix_says_what_it_could_not_see(monkeypatch, capsys):
    missing = tuple(f"blk.{layer}.ffn_up_exps.weight" for layer in range(5))
    result = ImatrixResult("/a.gguf", 10, 2000, unreached=("blk.0.ffn_up.weight",), seconds=3.0, missing=missing)
    monkeypatch.setattr("quantgui.cli.imatrix.run_job", lambda job, as_json: Finished(imatrix=result))
    assert main(["imatrix", "demo", "--out", "a.gguf"]) == 0
    printed = capsys.readouterr().out
    assert "10 tensors, from 2,000 tokens" in printed
    assert "some experts of 1 tensor;" in printed
    assert "nothing is said about 5 tensors" in printed
    assert "blk.2.ffn_up_exps.weight, …" in printed
