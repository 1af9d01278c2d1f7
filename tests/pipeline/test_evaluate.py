"""evaluate on the bundled model's tokenizer and a short text."""

import json

import pytest

from quantgui.__main__ import main
from quantgui.resource_files import resource

pytestmark = pytest.mark.slow


def test_perplexity_as_json(tmp_path, capsys):
    text = tmp_path / "short.txt"
    text.write_text(resource("text", "evaluation.txt").read_text(encoding="utf-8")[:6000], encoding="utf-8")
    assert main(["evaluate", "demo", "--text", str(text), "--context", "128", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"model", "tokens", "perplexity", "perplexity_se"} <= result.keys()
    assert result["tokens"] > 1000
    assert 1 < result["perplexity"] < 40  # a unigram model of the same tokens is at about 750


def test_what_cannot_be_evaluated_is_told(tiny_llama_folder, make_llama, capsys):
    assert main(["evaluate", str(tiny_llama_folder)]) == 1
    assert "tokenizer" in capsys.readouterr().err
    assert main(["evaluate", str(make_llama("bert", architectures=["BertModel"]))]) == 1
    assert "does not predict text" in capsys.readouterr().err
    assert main(["evaluate", "demo", "--context", "1"]) == 1
    assert "at least 2" in capsys.readouterr().err
