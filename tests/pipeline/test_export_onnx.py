"""ONNX with 8-bit weights: written, loaded by onnxruntime in a new process, and compared with the original."""

import importlib.util
import json
from pathlib import Path

import pytest

from quantgui.__main__ import main
from quantgui.jobs.child import ChildProcess
from quantgui.jobs.codec import decode_event
from quantgui.jobs.events import Event, ExportResult, Failed, Finished, VerificationStatus
from quantgui.jobs.job import ExportJob, VerifyOnnxJob
from quantgui.pipeline import run
from quantgui.pipeline.onnx_check import check_onnx
from quantgui.types import UserError
from tests.calibration.models import saved, write_tokenizer


def export(source: Path, output: Path) -> Event:
    return list(ChildProcess(ExportJob(str(source), str(output))).events())[-1]


def exported(outcome: Event) -> ExportResult:
    assert isinstance(outcome, Finished), outcome
    assert outcome.exported is not None
    return outcome.exported


@pytest.mark.slow
def test_a_decoder_loads_in_onnxruntime_with_any_length(make_llama, tmp_path):
    import numpy as np
    import onnxruntime

    source = write_tokenizer(make_llama(dtype="BF16"))
    result = exported(export(source, tmp_path / "out"))
    assert result.verification.status is VerificationStatus.VERIFIED
    assert result.verification.library.startswith("onnxruntime ")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"model.onnx", "config.json", "tokenizer.json"} <= names
    assert not any("float" in name for name in names) and not list(tmp_path.glob("*.partial-*"))
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    for shape in ((1, 7), (4, 33)):
        ids = np.ones(shape, np.int64)
        (logits,) = session.run(None, {"input_ids": ids, "attention_mask": ids})
        assert logits.shape == (*shape, 96)  # type: ignore[union-attr]


@pytest.mark.slow
def test_an_encoder_gives_its_hidden_states_and_another_model_fails_the_check(make_llama, tmp_path):
    source = saved(tmp_path / "bert", "bert", "BertModel")
    assert exported(export(source, tmp_path / "out")).verification.status is VerificationStatus.VERIFIED
    other = saved(tmp_path / "other", "bert", "BertModel", initializer_range=0.5)
    verdict = check_onnx(VerifyOnnxJob(str(tmp_path / "out"), str(other)), lambda _: None)
    assert verdict.status is VerificationStatus.FAILED


def refused(source: Path, output: Path, words: str) -> UserError:
    with pytest.raises(UserError, match=words) as caught:
        run(ExportJob(str(source), str(output)), lambda event: None)
    assert not output.exists() or output.is_file() or any(output.iterdir())
    return caught.value


def test_what_cannot_be_exported_is_told(make_llama, tiny_llama_folder, tmp_path, monkeypatch):
    out = tmp_path / "out"
    refused(make_llama("quantized", quantization_config={"quant_method": "gptq"}), out, "already quantized")
    refused(make_llama("t5", is_encoder_decoder=True), out, "encoder-decoder")
    refused(tiny_llama_folder / "model.safetensors", out, "cannot be exported")
    (tmp_path / "taken").write_text("x")
    refused(tiny_llama_folder, tmp_path / "taken", "already exists")
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxruntime" else find(name))
    assert "pip install" in refused(tiny_llama_folder, out, "needs onnxruntime").hint


def test_the_command_line_says_what_is_missing(tiny_llama_folder, capsys):
    assert main(["export", str(tiny_llama_folder), "--json"]) == 1
    assert isinstance(decode_event(capsys.readouterr().out), Failed)
    with pytest.raises(SystemExit):
        main(["export", "demo", "--to", "cassette"])
    assert "onnx-int8" in capsys.readouterr().err


def test_a_failing_export_leaves_nothing(tiny_llama_folder, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("quantgui.pipeline.export_onnx._trace", fail)
    with pytest.raises(OSError, match="No space"):
        run(ExportJob(str(tiny_llama_folder), str(tmp_path / "deep" / "out")), lambda event: None)
    assert not (tmp_path / "deep").exists()
    assert json.loads((tiny_llama_folder / "config.json").read_text())
