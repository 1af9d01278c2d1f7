"""Generated text and perplexity of the bundled model: as a GGUF file in llama.cpp and as a folder in transformers."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from quantgui.__main__ import main
from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.jobs.events import Event, Generation, TextPiece
from quantgui.jobs.job import EvaluateJob, GenerateJob, QuantizeJob
from quantgui.pipeline.convert_gguf import convert
from quantgui.pipeline.evaluate import evaluate
from quantgui.pipeline.generate import generate
from quantgui.resource_files import resource
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError
from tests.pipeline.gguf_models import write_byte_tokenizer

pytestmark = pytest.mark.slow

PROMPT = "The quick brown fox"
POSITIONS = 16


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
        ({"prompt": "word " * 3000}, "longer than the context of 1,024"),
    ],
)
def test_what_cannot_be_written_is_told(changes: dict, words: str, demo_gguf: Path) -> None:
    with pytest.raises(UserError, match=words):
        run(GenerateJob(**{"source": str(demo_gguf), "prompt": PROMPT, "threads": 1} | changes))


@pytest.fixture(scope="module")
def short_sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A GPT-2 with places for 16 tokens, each of one byte: the folder and the GGUF file made of it."""
    import torch
    import transformers

    torch.manual_seed(0)  # llama.cpp ends a text at some token where a model names none: these weights do not draw it
    folder = tmp_path_factory.mktemp("short")
    config = transformers.GPT2Config(
        vocab_size=256, n_positions=POSITIONS, n_embd=32, n_layer=1, n_head=2, bos_token_id=None, eos_token_id=None
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder / "model")
    write_byte_tokenizer(folder / "model")
    path = folder / "short.gguf"
    convert(QuantizeJob(str(folder / "model"), str(path), Recipe(SchemeSpec("GGUF-F32")), verify=False), ignore)
    return folder / "model", path


@pytest.mark.parametrize("source", [0, 1], ids=["transformers", "llama.cpp"])
@pytest.mark.parametrize(
    ("prompt", "wanted", "tokens"), [(10, 100, 7), (10, 7, 7), (10, 3, 3), (POSITIONS, 5, 1), (1, 100, POSITIONS)]
)
def test_a_text_ends_where_the_context_is_full(
    source: int, prompt: int, wanted: int, tokens: int, short_sources: tuple[Path, Path]
) -> None:
    job = GenerateJob(str(short_sources[source]), "x" * prompt, wanted, temperature=1.0, threads=1)
    generation, _ = run(job)
    assert (generation.prompt_tokens, generation.tokens) == (prompt, tokens)
    assert generation.fills_context == (tokens < wanted)


def test_the_command_line_says_that_the_context_is_full(
    short_sources: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(short_sources[1]), "--prompt", "xxxx", "--tokens", "100"]) == 0
    assert f"{POSITIONS - 4 + 1} tokens" in (told := capfd.readouterr().err) and "fills the context" in told


@pytest.mark.parametrize("source", [0, 1], ids=["transformers", "llama.cpp"])
def test_a_prompt_beyond_the_context_is_told_before_the_model_runs(
    source: int, short_sources: tuple[Path, Path]
) -> None:
    with pytest.raises(UserError, match=f"{POSITIONS + 1} tokens, and is longer than the context of {POSITIONS}"):
        run(GenerateJob(str(short_sources[source]), "x" * (POSITIONS + 1), 1, threads=1))


def with_context(path: Path, target: Path, length: int) -> Path:
    """The bundled model with another statement of what it was trained for."""
    key = b"llama.context_length" + struct.pack("<I", 4)
    data = path.read_bytes()
    assert data.count(key + struct.pack("<I", 1024)) == 1
    target.write_bytes(data.replace(key + struct.pack("<I", 1024), key + struct.pack("<I", length)))
    return target


def test_room_is_made_for_tokens_and_not_for_bytes(
    demo_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []
    make = LlamaModel.context

    def remember(model: LlamaModel, length: int, **options: Any) -> Any:
        lengths.append(length)
        return make(model, length, **options)

    monkeypatch.setattr(LlamaModel, "context", remember)
    source = with_context(demo_gguf, tmp_path / "long.gguf", 2**31 - 1)
    generation, _ = run(GenerateJob(str(source), PROMPT * 20, 4, threads=1))
    assert lengths == [generation.prompt_tokens + 4 - 1] and lengths[0] < len(PROMPT * 20)
    assert not generation.fills_context


def test_a_model_that_states_no_context_writes_what_was_asked_for(demo_gguf: Path, tmp_path: Path) -> None:
    generation, _ = run(GenerateJob(str(with_context(demo_gguf, tmp_path / "none.gguf", 0)), PROMPT, 4, threads=1))
    assert generation.tokens == 4 and not generation.fills_context


def test_a_text_that_the_memory_cannot_hold_is_told_before(demo_gguf: Path, tmp_path: Path) -> None:
    source = with_context(demo_gguf, tmp_path / "long.gguf", 2**31 - 1)
    with pytest.raises(UserError, match=r"A text of 2,000,000,\d+ tokens takes about .* GiB are free"):
        run(GenerateJob(str(source), PROMPT, 2_000_000_000, threads=1))


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


def test_a_context_of_one_token_scores_nothing(demo_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="context of 1 token"):
        evaluate(EvaluateJob(str(with_context(demo_gguf, tmp_path / "one.gguf", 1))), ignore)


def test_a_cache_that_the_memory_cannot_hold_is_told_before_the_text_is_scored(
    demo_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "long.txt"
    text.write_text("word " * 4000, encoding="utf-8")
    source = with_context(demo_gguf, tmp_path / "long.gguf", 2**31 - 1)
    free = SimpleNamespace(available=demo_gguf.stat().st_size + 2**20)  # the weights, and a cache of about 170 tokens
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    with pytest.raises(UserError, match="A text of 1,000 tokens"):
        evaluate(EvaluateJob(str(source), str(text), 1000), ignore)


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
