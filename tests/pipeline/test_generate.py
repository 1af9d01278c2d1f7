"""Generated text and perplexity of the bundled model: as a GGUF file in llama.cpp and as a folder in transformers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quantgui.__main__ import main
from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.jobs.events import Event, Generation, TextPiece
from quantgui.jobs.job import GenerateJob, QuantizeJob
from quantgui.pipeline.convert_gguf import convert
from quantgui.pipeline.generate import generate
from quantgui.resource_files import resource
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError

pytestmark = pytest.mark.slow

PROMPT = "The quick brown fox"


def ignore(event: Event) -> None:
    pass


@pytest.fixture(scope="module")
def demo_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled model as an F32 GGUF file."""
    path = tmp_path_factory.mktemp("gguf") / "demo-F32.gguf"
    convert(QuantizeJob("demo", str(path), Recipe(SchemeSpec("GGUF-F32")), verify=False), ignore)
    return path


def run(job: GenerateJob) -> tuple[Generation, list[Event]]:
    events: list[Event] = []
    return generate(job, events.append), events


def test_both_runtimes_write_what_the_model_says(demo_gguf: Path) -> None:
    texts = []
    for source in (str(demo_gguf), "demo"):
        generation, events = run(GenerateJob(source, PROMPT, tokens=24, threads=1))
        assert generation.text == "".join(event.text for event in events if isinstance(event, TextPiece))
        assert generation.tokens == 24 and generation.prompt_tokens >= 4
        assert generation.tokens_per_second is not None and generation.peak_rss_bytes > 0
        texts.append(generation.text)
    assert texts[0][:12] == texts[1][:12] != ""  # F32 and BF16 part sooner or later


def test_the_seed_decides_what_is_drawn(demo_gguf: Path) -> None:
    texts = [
        run(GenerateJob(str(demo_gguf), PROMPT, tokens=12, temperature=1.0, seed=seed, threads=1))[0].text
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tokens": 0}, "0 tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"prompt": ""}, "no tokens"),
        ({"prompt": "x" * 2_000_000}, "too long"),
        ({"prompt": "word " * 3000}, "longer than the context"),
    ],
)
def test_what_cannot_be_written_is_told(changes: dict, words: str, demo_gguf: Path) -> None:
    with pytest.raises(UserError, match=words):
        run(GenerateJob(**{"source": str(demo_gguf), "prompt": PROMPT, "threads": 1} | changes))


def test_perplexity_of_the_file_is_that_of_the_folder(
    demo_gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "short.txt"
    text.write_text(resource("text", "evaluation.txt").read_text(encoding="utf-8")[:2500], encoding="utf-8")
    arguments = ["evaluate", str(demo_gguf), "--against", "demo", "--text", str(text), "--context", "128", "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["tokens"] > 400
    assert result["perplexity"] == pytest.approx(result["against"]["perplexity"], rel=0.01)  # BF16 and an F16 cache


def test_decoding_in_parts_gives_the_same_logits(demo_gguf: Path) -> None:
    with LlamaModel(demo_gguf) as model:
        tokens = model.tokenize(PROMPT + " jumps over the lazy dog")
        with model.context(64, cache_type="F32", flash_attention=False) as context:
            whole = context.logits(tokens, every=True)
            assert whole.shape == (len(tokens), model.vocabulary_size)
            context.clear()
            parts = np.concatenate([context.logits([token]) for token in tokens])
        np.testing.assert_allclose(parts, whole, atol=1e-4)
        assert b"".join(map(model.piece, tokens)).decode() == PROMPT + " jumps over the lazy dog"


def test_a_damaged_file_is_told(demo_gguf: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(demo_gguf.read_bytes()[:100_000])
    with pytest.raises(UserError, match=r"cannot load broken\.gguf"):
        LlamaModel(broken)
