"""Whole runs of the methods that scale or round activations: reloaded in a new process, logits as simulated."""

import json
from pathlib import Path
from typing import Any

import pytest

from quantgui.jobs.events import Finished, Log, TensorDone, VerificationStatus
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import run
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import UserError
from tests.calibration.models import saved, write_tokenizer

SMALL: dict[str, Any] = {"samples": 4, "sample_length": 32}
AWQ = SchemeSpec("AWQ-4", SMALL | {"group_size": 32})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "recipe"),
    [
        ("qwen3", Recipe(AWQ, (Rule("*layers.0.mlp.down*", None),))),
        ("llama", Recipe(SchemeSpec("SmoothQuant-W8A8", SMALL))),
        (
            "llama",
            Recipe(SchemeSpec("FP8", SMALL | {"activations": "static"}), (Rule("*q_proj*", SchemeSpec("W8A8")),)),
        ),
    ],
    ids=["awq-qwen3", "smoothquant", "fp8-and-w8a8"],
)
def test_the_output_is_reloaded_and_its_logits_are_those_of_the_simulation(model_type, recipe, tmp_path):
    class_name = {"qwen3": "Qwen3ForCausalLM", "llama": "LlamaForCausalLM"}[model_type]
    source = write_tokenizer(saved(tmp_path / "model", model_type, class_name, head_dim=16))
    events: list[Any] = []
    run(QuantizeJob(str(source), str(tmp_path / "out"), recipe), events.append)  # the check starts its own process
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    assert finished.quantized is not None
    check = finished.quantized.verification
    assert check.status is VerificationStatus.VERIFIED
    assert "Its logits equal those of the calibrated model" in check.summary


def test_errors_before_and_after_are_told_and_what_has_no_scale_is_said(tiny_llama_bf16: Path, tmp_path: Path):
    events: list[Any] = []
    recipe = Recipe(AWQ, (Rule("*up_proj*", None),))
    run(QuantizeJob(str(write_tokenizer(tiny_llama_bf16)), str(tmp_path / "out"), recipe, verify=False), events.append)
    reports = [event.report for event in events if isinstance(event, TensorDone) and event.report.scheme_id]
    assert len(reports) == 12
    assert all(report.output_error and report.output_error_rounded for report in reports)
    (said,) = [event.text for event in events if isinstance(event, Log)]
    assert said.startswith("Nothing before model.layers.0.mlp.gate_proj.weight")
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert config["modules_to_not_convert"] == ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"]


@pytest.mark.parametrize("scheme_id", ["AWQ-4", "W8A8", "SmoothQuant-W8A8", "W8A8-dynamic", "Ternary"])
def test_gpt2_is_refused_in_words(scheme_id, tmp_path):
    sizes = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64}
    source = write_tokenizer(saved(tmp_path / "model", "gpt2", "GPT2LMHeadModel", **sizes))
    with pytest.raises(UserError) as caught:
        run(QuantizeJob(str(source), str(tmp_path / "out"), Recipe(SchemeSpec(scheme_id))), lambda event: None)
    assert "Conv1D" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_llm_int8_tells_its_outlier_channels_and_writes_the_same_weights(tiny_llama_bf16: Path, tmp_path: Path):
    source, written = write_tokenizer(tiny_llama_bf16), []
    for count in (False, True):
        events: list[Any] = []
        recipe = Recipe(SchemeSpec("LLM.int8", SMALL | {"count_outliers": count}))
        out = tmp_path / f"out-{count}"
        run(QuantizeJob(str(source), str(out), recipe, verify=False), events.append)
        written.append((out / "model.safetensors").read_bytes())
        said = [event.text for event in events if isinstance(event, Log)]
        assert len(said) == (2 if count else 0)
    assert said[0].startswith("Layer 1: input channels beyond 6: attn.q ")
    assert written[0] == written[1]
