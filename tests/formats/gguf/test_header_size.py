"""The header's bytes against files that are written, and estimates against vocabularies of published files."""

import json
import shutil

import pytest

from quantgui.checkpoint import open_checkpoint
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
