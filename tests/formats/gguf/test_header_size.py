"""The header's bytes against files that are written, and estimates against vocabularies of published files."""

import json
import shutil

import pytest

from quantgui.checkpoint import open_checkpoint
from quantgui.formats.gguf import header_size as header_module
from quantgui.formats.gguf.file_types import FILE_TYPES, file_type
from quantgui.formats.gguf.header_size import MODEL_KEYS_BYTES, estimated_size, header_size
from quantgui.formats.gguf.plan import plan_gguf
from quantgui.formats.gguf.size import gguf_rows
from quantgui.formats.gguf.source import tensors_of
from quantgui.formats.gguf.tensor_size import padded
from quantgui.formats.gguf.type_plan import PlanOptions
from quantgui.resource_files import resource
from quantgui.types import ModelConfig


@pytest.fixture
def demo(tmp_path):
    folder = tmp_path / "demo"
    shutil.copytree(resource("demo_model"), folder)
    return folder


def test_the_header_of_a_folder_is_known_to_the_byte_and_follows_its_files(demo):
    def size():
        checkpoint = open_checkpoint(demo)
        header = header_size(checkpoint, tensors_of(checkpoint))
        planned = plan_gguf(checkpoint, file_type("Q4_K_M"), PlanOptions(), "x.gguf").file.header
        assert (padded(header.nbytes), header.band) == (len(planned), 0)
        return header.nbytes

    before = size()
    (demo / "chat_template.jinja").write_text("{{ x }}")
    assert size() == before + 8 + len("tokenizer.chat_template") + 4 + 8 + len("{{ x }}")


def put(folder, files):
    """Writes files by their name, and removes those without a content."""
    for name, content in files.items():
        if content is None:
            (folder / name).unlink()
            continue
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def predicted(folder):
    """The header's size as the window shows it, which is the size that a first look would give."""
    checkpoint = open_checkpoint(folder)
    size = header_size(checkpoint, tensors_of(checkpoint))
    header_module._of_files.cache_clear()
    assert header_size(checkpoint, tensors_of(checkpoint)) == size
    return size


MORE_ENDS = json.dumps({**json.loads((resource("demo_model") / "config.json").read_text()), "eos_token_id": [0, 1]})
SENTENCE_PIECE = b"\n\x03\n\x01a"  # a model of one piece, "a"
TEKKEN = {
    "config": {"pattern": "x", "default_vocab_size": 2, "default_num_special_tokens": 1},
    "vocab": [{"rank": 0, "token_bytes": "AA=="}],
    "special_tokens": [{"rank": 0, "token_str": "<s>"}],
}
MORE_TEMPLATES = "additional_chat_templates/rag.jinja"
POOLING = '[{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]'


@pytest.mark.parametrize(
    ("before", "changed", "content"),
    [
        ({}, "config.json", MORE_ENDS),
        ({}, "tokenizer_config.json", '{"eos_token": "<|end|>", "chat_template": "x"}'),
        ({}, "chat_template.json", '{"chat_template": "x"}'),
        ({"chat_template.jinja": "x"}, "chat_template.jinja", "xyz"),
        ({"chat_template.jinja": "x"}, MORE_TEMPLATES, "x"),
        ({"chat_template.jinja": "x", MORE_TEMPLATES: "x"}, MORE_TEMPLATES, "xyz"),
        ({"modules.json": POOLING}, "1_Pooling/config.json", '{"pooling_mode_mean_tokens": true}'),
        ({"tokenizer.json": None}, "tokenizer.model", SENTENCE_PIECE),
        ({"tokenizer.json": None}, "spiece.model", SENTENCE_PIECE),
        ({"tokenizer.json": None}, "sentencepiece.bpe.model", SENTENCE_PIECE),
        ({"tokenizer.json": None}, "tekken.json", json.dumps(TEKKEN)),
        ({"tokenizer.json": None}, "vocab.txt", "a\nb"),
        ({"tokenizer.json": None, "merges.txt": "a b"}, "vocab.json", '{"a": 0, "b": 1, "ab": 2}'),
        ({"tokenizer.json": None, "vocab.json": '{"a": 0}'}, "merges.txt", "#version: 0.2"),
        ({"tokenizer.json": None, "vocab.json": '{"a": 0}', "merges.txt": ""}, "added_tokens.json", '{"<a>": 1}'),
    ],
)
def test_the_prediction_follows_every_file_it_is_made_of(demo, before, changed, content):
    put(demo, before)
    size = predicted(demo)
    put(demo, {changed: content})
    assert predicted(demo) != size


def test_every_type_is_predicted_as_it_will_be_planned(demo):
    checkpoint = open_checkpoint(demo)
    for name, _, file_bytes in gguf_rows(checkpoint):
        assert plan_gguf(checkpoint, FILE_TYPES[name], PlanOptions(), "x.gguf").file.nbytes == file_bytes


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"model": {"vocab": {"a": 1e300}, "merges": []}}', "[" * 100_000])
def test_a_broken_tokenizer_is_estimated_instead(demo, content):
    (demo / "tokenizer.json").write_text(content)
    checkpoint = open_checkpoint(demo)
    assert header_size(checkpoint, tensors_of(checkpoint)).band == estimated_size(checkpoint.config).band > 0


def test_an_absurd_token_id_does_not_fill_the_memory(demo):
    (demo / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 10**12}, "merges": []}}))
    checkpoint = open_checkpoint(demo)
    assert header_size(checkpoint, tensors_of(checkpoint)).band > 0


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
    assert estimated_size(None) == estimated_size(ModelConfig("llama"))
    assert estimated_size(None).nbytes == MODEL_KEYS_BYTES
