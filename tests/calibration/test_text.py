"""Calibration samples: from every kind of file, and every file that cannot be used told in words."""

import json

import pytest
import torch

from quantgui.calibration.text import calibration_samples, read_documents
from quantgui.types import UserError
from tests.calibration.models import write_tokenizer


@pytest.fixture
def tokenizer(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    return write_tokenizer(folder)


def test_samples_spread_over_the_whole_text_without_overlap(tokenizer, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("".join(chr(33 + i % 90) for i in range(1000)))
    samples = calibration_samples(tokenizer, text, 7, 100)
    assert samples.shape == (7, 100)
    assert samples.dtype is torch.int64
    assert samples[0, 0] == ord(text.read_text()[0]) - 31
    assert samples[-1, -1] == ord(text.read_text()[-1]) - 31
    assert calibration_samples(tokenizer, text, 50, 100).shape == (10, 100)  # as many as there are


def test_the_bundled_text_is_the_default(tokenizer):
    assert calibration_samples(tokenizer, None, 4, 32).shape == (4, 32)


def test_documents_of_jsonl_and_parquet(tmp_path):
    import pyarrow
    from pyarrow import parquet

    lines = [{"text": "first"}, {"content": "second"}, "third", {"other": 3}, {"text": " "}]
    jsonl = tmp_path / "data.jsonl"
    jsonl.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert read_documents(jsonl) == "first\n\nsecond\n\nthird"
    table = tmp_path / "data.parquet"
    parquet.write_table(pyarrow.table({"id": [1, 2, 3], "text": ["first", None, "third"]}), table)
    assert read_documents(table) == "first\n\nthird"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b"abc\x00def", "binary"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.txt", b"too short", "9 tokens, fewer than the 64 of one sample"),
        ("a.jsonl", b'{"text": "a"}\nnot json', r"Line 2 of a\.jsonl is not JSON"),
        ("a.jsonl", b'{"other": "a"}', "holds no text"),
        ("a.jsonl", b"[" * 100_000, "is not JSON"),
        ("a.parquet", b"PAR1 but no more", "cannot be read as a Parquet file"),
    ],
)
def test_files_that_cannot_be_used(name, content, words, tokenizer, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        calibration_samples(tokenizer, tmp_path / name, 2, 64)


def test_missing_files(tokenizer, tmp_path):
    for name in ("none.txt", "none.jsonl", "none.parquet"):
        with pytest.raises(UserError, match=r"no (text )?file"):
            calibration_samples(tokenizer, tmp_path / name, 2, 64)


def test_a_parquet_file_without_text(tokenizer, tmp_path):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"id": [1], "label": ["x"]}), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="no column of text"):
        calibration_samples(tokenizer, tmp_path / "a.parquet", 2, 64)


def test_a_model_without_tokenizer(tmp_path):
    with pytest.raises(UserError, match="no tokenizer"):
        calibration_samples(tmp_path, None, 2, 64)


@pytest.mark.parametrize(("samples", "length"), [(0, 64), (1, 1)])
def test_too_few_or_too_short_samples(samples, length, tokenizer):
    with pytest.raises(UserError, match="not enough"):
        calibration_samples(tokenizer, None, samples, length)


def test_a_line_of_jsonl_ends_at_a_line_feed_alone(tmp_path):
    """Separators of lines and paragraphs may stand inside a JSON text as they are."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"text": "one\xe2\x80\xa8\xc2\x85two"}\r\n{"text": "half \\ud800"}')
    assert read_documents(file) == "one\u2028\x85two\n\nhalf ?"


def test_of_a_large_parquet_file_the_beginning_is_read(tmp_path, monkeypatch):
    import pyarrow
    from pyarrow import parquet

    file = tmp_path / "a.parquet"
    texts = pyarrow.array([f"{number:10d}" for number in range(5000)], pyarrow.large_string())
    parquet.write_table(pyarrow.table({"text": texts}), file)
    monkeypatch.setattr("quantgui.calibration.text.MAX_TEXT_BYTES", 15_000)
    documents = read_documents(file).split("\n\n")
    assert 1500 <= len(documents) < 5000
    assert documents[-1] == f"{len(documents) - 1:10d}"


def test_a_parquet_file_with_bytes_that_are_no_text(tmp_path):
    import pyarrow
    from pyarrow import parquet

    file = tmp_path / "a.parquet"
    broken = pyarrow.StringArray.from_buffers(1, pyarrow.py_buffer(b"\0\0\0\0\1\0\0\0"), pyarrow.py_buffer(b"\xff"))
    parquet.write_table(pyarrow.table({"text": broken}), file)
    with pytest.raises(UserError, match="cannot be read as a Parquet file"):
        read_documents(file)
