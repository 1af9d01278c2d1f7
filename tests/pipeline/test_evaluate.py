"""evaluate on the bundled model's tokenizer and a short text."""

import json
import math

import pytest

from quantgui.__main__ import main
from quantgui.jobs.events import Event
from quantgui.jobs.job import EvaluateJob, QuantizeJob
from quantgui.jobs.run_record import read_record
from quantgui.pipeline.evaluate import evaluate
from quantgui.pipeline.quantize import quantize
from quantgui.resource_files import resource
from quantgui.schemes.recipe import Recipe, SchemeSpec
from tests.calibration.models import write_tokenizer

pytestmark = pytest.mark.slow


def ignore(event: Event) -> None:
    pass


def test_perplexity_as_json(tmp_path, capsys):
    text = tmp_path / "short.txt"
    text.write_text(resource("text", "evaluation.txt").read_text(encoding="utf-8")[:6000], encoding="utf-8")
    assert main(["evaluate", "demo", "--text", str(text), "--context", "128", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"model", "tokens", "perplexity", "perplexity_se"} <= result.keys()
    assert result["tokens"] > 1000
    assert 1 < result["perplexity"] < 40  # a unigram model of the same tokens is at about 750


def test_two_models_are_paired_on_the_same_tokens(make_llama, tmp_path, capsys):
    text = tmp_path / "short.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 20, encoding="utf-8")
    one, other = (write_tokenizer(make_llama(f"seed-{seed}", seed=seed)) for seed in (0, 1))

    def evaluate(*arguments: str) -> dict:
        assert main(["evaluate", *arguments, "--text", str(text), "--context", "64", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    paired = evaluate(str(one), "--against", str(other))
    alone = evaluate(str(other))
    assert paired["against"]["perplexity"] == alone["perplexity"]
    assert paired["against"]["difference"] == pytest.approx(
        math.log(paired["perplexity"] / alone["perplexity"]), abs=1e-6
    )
    same = evaluate(str(one), "--against", str(one))
    assert same["is_tie"] and same["against"]["difference"] == 0


def test_a_measurement_is_kept_with_the_run_that_made_the_model_of_the_other(make_llama, tmp_path):
    text = tmp_path / "short.txt"
    text.write_text("The quick brown fox jumps over the lazy dog. " * 20, encoding="utf-8")
    model, other = (write_tokenizer(make_llama(name)) for name in ("model", "other"))
    out = tmp_path / "out"
    quantize(QuantizeJob(str(model), str(out), Recipe(SchemeSpec("INT8")), verify=False), ignore)
    evaluate(EvaluateJob(str(out), str(text), 64, against=str(other)), ignore)
    assert read_record(out).quality is None, "it was not made from that one"
    evaluation = evaluate(EvaluateJob(str(out), str(text), 64, against=str(model)), ignore)
    assert read_record(out).quality == evaluation


def test_models_of_different_tokens_are_not_compared(make_llama, capsys):
    assert main(["evaluate", "demo", "--against", str(write_tokenizer(make_llama()))]) == 1
    assert "different tokens" in capsys.readouterr().err


def test_what_cannot_be_evaluated_is_told(tiny_llama_folder, make_llama, capsys):
    assert main(["evaluate", str(tiny_llama_folder)]) == 1
    assert "tokenizer" in capsys.readouterr().err
    assert main(["evaluate", str(make_llama("bert", architectures=["BertModel"]))]) == 1
    assert "does not predict text" in capsys.readouterr().err
    assert main(["evaluate", "demo", "--context", "1"]) == 1
    assert "at least 2" in capsys.readouterr().err
