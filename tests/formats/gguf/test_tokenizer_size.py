"""The tokenizer's bytes against what the gguf library writes, and estimates against vocabularies of published files."""

import json
import shutil
from pathlib import Path

import gguf
import pytest

from quantgui.formats.gguf.tokenizer_size import estimated_size, tokenizer_json_nbytes, tokenizer_size
from quantgui.resource_files import resource
from quantgui.types import Checkpoint, ModelConfig, SourceKind

WORDS = {"a": 0, "Ġb": 1, "é": 2}


def written(path: Path, **lists) -> int:
    """Bytes that these lists of the tokenizer take in a file of the library."""
    sizes = []
    for keys in ({}, lists):
        writer = gguf.GGUFWriter(path, "llama")
        for name, values in keys.items():
            getattr(writer, f"add_{name}")(values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        sizes.append(path.stat().st_size)
    return sizes[1] - sizes[0]


def test_byte_level_vocabularies_list_merges(tmp_path):
    data = {"model": {"type": "BPE", "vocab": WORDS, "merges": [["a", "Ġb"], "a é"]}, "added_tokens": []}
    expected = written(
        tmp_path / "x.gguf",
        token_list=[*WORDS, "[PAD3]"],
        token_types=[1, 1, 1, 5],
        token_merges=["a Ġb", "a é"],
    )
    assert tokenizer_json_nbytes(data, vocab_size=4) == expected


@pytest.mark.parametrize(
    "model",
    [
        {"type": "BPE", "vocab": WORDS, "merges": ["a Ġb"], "byte_fallback": True},
        {"type": "Unigram", "vocab": [[text, -1.0] for text in WORDS]},
        {"vocab": [[text, -1.0] for text in WORDS]},
    ],
)
def test_sentence_piece_vocabularies_list_scores(tmp_path, model):
    expected = written(
        tmp_path / "x.gguf", token_list=[*WORDS, "<s>"], token_types=[1, 1, 1, 3], token_scores=[0.0] * 4
    )
    added = [{"id": 3, "content": "<s>"}]
    assert tokenizer_json_nbytes({"model": model, "added_tokens": added}, vocab_size=0) == expected


def test_word_pieces_are_marked_where_words_begin(tmp_path):
    data = {"model": {"type": "WordPiece", "vocab": {"[CLS]": 0, "word": 1, "##s": 2}}}
    expected = written(tmp_path / "x.gguf", token_list=["[CLS]", "▁word", "s"], token_types=[3, 1, 1])
    assert tokenizer_json_nbytes(data, vocab_size=3) == expected


def test_a_tokenizer_beside_the_checkpoint_is_exact_and_follows_its_template(tmp_path):
    shutil.copy(resource("demo_model", "tokenizer.json"), tmp_path / "tokenizer.json")
    config = ModelConfig("llama", vocab_size=10)
    checkpoint = Checkpoint("", SourceKind.FOLDER, str(tmp_path), (), config)
    plain = tokenizer_size(checkpoint)
    assert plain.band == 0
    (tmp_path / "chat_template.jinja").write_text("{{ x }}")
    text = written(tmp_path / "x.gguf", chat_template="{{ x }}")
    assert tokenizer_size(checkpoint).nbytes == plain.nbytes + text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"vocab": {"a": 1e300}, "merges": []}}', "[" * 100_000])
def test_a_broken_tokenizer_is_estimated_instead(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content)
    config = ModelConfig("llama", vocab_size=32_000)
    checkpoint = Checkpoint("", SourceKind.FOLDER, str(tmp_path), (), config)
    assert tokenizer_size(checkpoint) == estimated_size(config)


def test_an_absurd_token_id_does_not_fill_the_memory(tmp_path):
    data = {"model": {"type": "BPE", "vocab": {"a": 10**12}, "merges": []}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    config = ModelConfig("llama", vocab_size=32_000)
    assert tokenizer_size(Checkpoint("", SourceKind.FOLDER, str(tmp_path), (), config)) == estimated_size(config)


@pytest.mark.parametrize(
    ("model_type", "vocab_size", "published"),
    [
        ("llama", 32_000, 723_900),
        ("phi3", 32_064, 731_700),
        ("gemma", 256_000, 6_311_000),
        ("gemma2", 256_000, 6_029_000),
        ("llama", 128_256, 7_820_000),
        ("qwen2", 151_936, 5_931_000),
        ("stablelm", 50_304, 1_769_500),
        ("llama", 49_152, 1_780_000),
    ],
)
def test_estimates_lie_within_their_band(model_type, vocab_size, published):
    """Published: size of a file less its tensors and their list."""
    size = estimated_size(ModelConfig(model_type, vocab_size=vocab_size))
    assert 0 < abs(size.nbytes - published) <= size.band


def test_without_a_vocabulary_there_is_nothing_to_estimate():
    assert estimated_size(None).nbytes == estimated_size(ModelConfig("llama")).nbytes == 0
