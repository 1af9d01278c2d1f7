from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from quantgui.formats.gguf.handover import llama_command, lm_studio_path, modelfile, ollama_command, ollama_name
from quantgui.types import UserError

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"


def test_a_modelfile_names_the_file_the_template_and_where_answers_end() -> None:
    text = modelfile(Path("/models/My model.gguf"), CHATML, 131072, ["</s>"])
    assert text.split("\n", 1)[1].startswith('FROM "/models/My model.gguf"\nTEMPLATE """')
    assert "<|im_start|>user\n{{ .Prompt }}<|im_end|>" in text
    assert "PARAMETER num_ctx 8192\n" in text
    assert text.endswith('PARAMETER stop "<|im_start|>"\nPARAMETER stop "<|im_end|>"\nPARAMETER stop "</s>"\n')


def test_a_model_without_conversations_continues_texts() -> None:
    assert 'TEMPLATE """{{ .Prompt }}"""' in modelfile(Path("/m.gguf"), None, 512)
    assert "PARAMETER num_ctx 512\n" in modelfile(Path("/m.gguf"), None, 512)


def test_an_unknown_template_is_left_to_ollama() -> None:
    assert modelfile(Path("/m.gguf"), "{{ something new }}", None).endswith('\nFROM "/m.gguf"\n')


@pytest.mark.parametrize("name", ['a"b.gguf', "a\nFROM b.gguf"])
def test_a_path_cannot_smuggle_in_another_instruction(name: str) -> None:
    with pytest.raises(UserError, match="Modelfile"):
        modelfile(Path("/models") / name, None, None)


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("Llama-3.2-1B-Q4_K_M", "llama-3.2-1b-q4_k_m"),
        ("My model (new)", "my-model-new"),
        ("m:Q4", "m:q4"),
    ],
)
def test_names_become_such_that_ollama_takes(wanted: str, name: str) -> None:
    assert ollama_name(wanted) == name


@pytest.mark.parametrize("wanted", ["", "日本", "a:b:c", "x" * 200])
def test_other_names_are_refused(wanted: str) -> None:
    with pytest.raises(UserError):
        ollama_name(wanted)


def test_commands_are_quoted() -> None:
    path = Path("/a b/$(x).gguf")
    assert shlex.split(llama_command(path, 4096)) == ["llama-server", "-m", str(path), "-c", "4096"]
    assert shlex.split(ollama_command("m", path)) == ["ollama", "create", "m", "-f", str(path)]


def test_the_place_in_lm_studio() -> None:
    models = Path("/models")
    assert lm_studio_path(models, Path("/x/M-Q4_K_M.gguf")) == models / "quantgui" / "M-Q4_K_M" / "M-Q4_K_M.gguf"
    for odd in ("M.bin", "a b.gguf"):
        with pytest.raises(UserError, match="LM Studio"):
            lm_studio_path(models, Path(odd))
