from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from quantgui.formats.gguf.handover import llama_command, lm_studio_path, modelfile, ollama_command, ollama_name
from quantgui.types import UserError

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endfor %}"
ZEPHYR = "{{ '<|user|>\n' + content + eos_token }}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
PHI_3 = "{{'<|user|>\n' + content + '<|end|>\n'}}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
PHI_4 = "{{'<|im_start|>user<|im_sep|>' + content + '<|im_end|>'}}{{ '<|im_start|>assistant<|im_sep|>' }}"
PHI_4_MINI = "{{ '<|' + message['role'] + '|>' + content + '<|end|>' }}{{ '<|assistant|>' }}"
GPT_OSS = "<|start|>assistant<|channel|>analysis<|message|>{{ thinking }}<|end|><|start|>assistant"
LLAMA_3 = "'<|start_header_id|>' + role + '<|end_header_id|>\n\n' + content + '<|eot_id|>'"
LLAMA_2 = "{% if system %}<<SYS>>\n{{ system }}\n<</SYS>>{% endif %}{{ bos_token + '[INST] ' + content + ' [/INST]' }}"
MISTRAL = "[SYSTEM_PROMPT]{{ system }}[/SYSTEM_PROMPT][INST]{{ content }}[/INST]"
GEMMA = "{{ '<start_of_turn>' + role + '\n' + content + '<end_of_turn>\n' }}"


def test_a_modelfile_names_the_file_its_context_and_where_answers_end() -> None:
    mark, body = modelfile(Path("/models/My model.gguf"), CHATML, 131072).split("\n", 1)
    assert mark.startswith("# Written by QuantGUI")
    assert body == (
        'FROM "/models/My model.gguf"\nPARAMETER num_ctx 8192\n'
        'PARAMETER stop "<|im_end|>"\nPARAMETER stop "<|im_start|>"\n'
    )


@pytest.mark.parametrize(
    ("template", "stops"),
    [
        (ZEPHYR, {"<|user|>"}),
        (PHI_3, {"<|user|>", "<|end|>"}),
        (PHI_4, {"<|im_start|>", "<|im_end|>"}),
        (PHI_4_MINI, {"<|end|>"}),
        (GPT_OSS, set()),
        (LLAMA_3, {"<|start_header_id|>", "<|eot_id|>"}),
        (LLAMA_2, {"[INST]"}),
        (MISTRAL, {"[INST]"}),
        (GEMMA, {"<start_of_turn>", "<end_of_turn>"}),
        ("{{ something new }}", set()),
    ],
)
def test_a_chat_template_is_left_to_ollama_and_only_its_own_marks_end_answers(template: str, stops: set[str]) -> None:
    text = modelfile(Path("/m.gguf"), template, None)
    assert "TEMPLATE" not in text
    assert set(re.findall(r'PARAMETER stop "(.*)"', text)) == stops


def test_a_model_without_conversations_continues_texts() -> None:
    text = modelfile(Path("/m.gguf"), None, 512)
    assert 'TEMPLATE """{{ .Prompt }}"""\nPARAMETER num_ctx 512\n' in text and "stop" not in text


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
    assert shlex.split(llama_command(path)) == ["llama-server", "-m", str(path), "-c", "0"]
    assert shlex.split(ollama_command("m", path)) == ["ollama", "create", "m", "-f", str(path)]


def test_the_place_in_lm_studio() -> None:
    models = Path("/models")
    part = "M-Q4_K_M-00002-of-00003.gguf"
    assert lm_studio_path(models, "M-Q4_K_M", part) == models / "quantgui" / "M-Q4_K_M" / part
    for repository, odd in (("M", "M.bin"), ("M", "a b.gguf"), ("..", "M.gguf"), ("a/b", "M.gguf")):
        with pytest.raises(UserError, match="LM Studio"):
            lm_studio_path(models, repository, odd)
