"""What people read when transformers cannot load a folder, whatever it raises."""

import json
import tomllib
from pathlib import Path

import pytest

from quantgui.calibration.skeleton import build_skeleton
from quantgui.formats.format import EXTRAS
from quantgui.formats.registry import all_formats
from quantgui.pipeline import library_model
from quantgui.types import UserError

ODD = [
    {"hidden_size": "a"},
    {"num_attention_heads": 0},
    {"model_type": ["llama"]},
    {"rope_parameters": 5},
    {"dtype": "no"},
]


@pytest.mark.parametrize("stated", ODD, ids=json.dumps)
def test_an_odd_config_is_one_sentence(stated, tiny_llama_bf16, tmp_path):
    config = json.loads((tiny_llama_bf16 / "config.json").read_text()) | stated
    (tmp_path / "config.json").write_text(json.dumps(config))
    for build in (build_skeleton, library_model.load_model):
        with pytest.raises(UserError, match="transformers cannot") as refused:
            build(tmp_path)
        assert refused.value.hint
        assert refused.value.details


def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch, tmp_path):
    def without(folder, **options):
        raise ImportError("Loading a GPTQ quantized model requires gptqmodel")

    monkeypatch.setattr(library_model, "_load", without)
    with pytest.raises(UserError) as refused:
        library_model.load_model(tmp_path)
    assert "pip install quantgui[gptq]" in refused.value.hint


def test_a_full_memory_is_not_a_damaged_folder(monkeypatch, tmp_path):
    def full(folder, **options):
        raise MemoryError

    monkeypatch.setattr(library_model, "_load", full)
    with pytest.raises(MemoryError):
        library_model.load_model(tmp_path)


def test_every_format_says_how_its_library_is_installed():
    """Either a package that is always installed, or one that an extra brings."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for format_ in all_formats().values():
        if format_.library in EXTRAS:
            extra = EXTRAS[format_.library]
            assert any(needed.startswith(format_.library) for needed in project["optional-dependencies"][extra])
            assert format_.installation == f"pip install quantgui[{extra}]"
        elif format_.library:
            assert any(needed.startswith(format_.library) for needed in project["dependencies"])
