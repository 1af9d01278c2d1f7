"""What is no text is told in words; the bundled texts are long enough and disjoint."""

import pytest

from quantgui.quality.text import bundled_text, read_text, tokenize
from quantgui.types import UserError


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"  \n ", "empty"), (b"\xff\xfe\x00\x01", "not UTF-8"), (b"abc\x00def", "binary")],
)
def test_bad_files(tmp_path, content, words):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_text(path)


def test_a_missing_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.txt", tmp_path):
        with pytest.raises(UserError, match="no text file"):
            read_text(path)


def test_bundled_texts_are_disjoint():
    lines = {
        name: set(read_text(bundled_text(name)).splitlines()) for name in ("training", "evaluation", "calibration")
    }
    long = {name: {line for line in some if len(line) > 60} for name, some in lines.items()}
    for other in ("training", "calibration"):
        # Boilerplate sentences occur in many documents; whole documents must not.
        assert len(long["evaluation"] & long[other]) < 0.02 * len(long["evaluation"])


@pytest.mark.slow
def test_the_bundled_evaluation_text_has_60_000_tokens():
    folder = bundled_text("evaluation").parents[1] / "demo_model"
    assert len(tokenize(folder, read_text(bundled_text("evaluation")))) >= 60_000


@pytest.mark.slow
def test_a_model_without_tokenizer(tmp_path):
    with pytest.raises(UserError, match="no tokenizer"):
        tokenize(tmp_path, "text")
    for settings, content in (("{}", "{broken"), ("[]", "{}"), ('{"tokenizer_class": 5}', "{}")):
        (tmp_path / "tokenizer_config.json").write_text(settings)
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(UserError, match="cannot be loaded"):
            tokenize(tmp_path, "text")
