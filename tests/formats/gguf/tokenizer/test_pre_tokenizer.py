"""llama.cpp's name for a pre-tokenizer, from the steps that tokenizer.json lists."""

import json

import pytest

from quantgui.formats.gguf.tokenizer.pre_tokenizer import UNKNOWN, pre_tokenizer_name

BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
GPT2 = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
DIGITS = {"type": "Digits", "individual_digits": True}
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?"
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)

DEEPSEEK_V3 = r"""{"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}, "behavior": "Isolated", "invert": false},
    {"type": "Split", "pattern": {"Regex": "[一-龥぀-ゟ゠-ヿ]+"}, "behavior": "Isolated", "invert": false},
    {"type": "Split", "pattern": {"Regex": "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"}, "behavior": "Isolated", "invert": false},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]}"""  # noqa: E501
"""As the file of DeepSeek-V3, of R1 and of Hunyuan's dense models spells it."""


FALCON = """{"type": "Sequence", "pretokenizers": [
    {"type": "Punctuation", "behavior": "Contiguous"},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    {"type": "Digits", "individual_digits": false},
    {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false}]}"""
FALCON_3 = """{"type": "Sequence", "pretokenizers": [
    {"type": "Punctuation", "behavior": "Contiguous"},
    {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    {"type": "Digits", "individual_digits": true}]}"""


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def named(*steps, ignore_merges=False, cleans=False):
    step = steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": list(steps)}
    return pre_tokenizer_name({"model": {"ignore_merges": ignore_merges}, "pre_tokenizer": step}, cleans)


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ([GPT2], "gpt-2"),
        ([split(LLAMA3.replace("{1,3}", "")), BYTES], "qwen2"),
        ([split(TEKKEN), BYTES], "tekken"),
        (
            [split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-퟿]+"), DIGITS, BYTES],
            "deepseek-coder",
        ),
        ([split("[a-z]+"), BYTES], UNKNOWN),
        ([DIGITS, BYTES], UNKNOWN),
    ],
)
def test_every_way_has_a_name(steps, name):
    assert named(*steps) == name


def test_names_also_say_what_no_regex_does():
    assert named(split(LLAMA3), BYTES, ignore_merges=True) == "llama-bpe"
    assert named(split(LLAMA3), BYTES) == "smaug-bpe"
    assert named(DIGITS, GPT2) == "smollm"
    assert named(DIGITS, GPT2, cleans=True) == "starcoder"


def test_line_ends_may_be_written_as_they_are():
    assert named(split(LLAMA3.replace(r"\r", "\r").replace(r"\n", "\n")), BYTES, ignore_merges=True) == "llama-bpe"


@pytest.mark.parametrize(
    ("published", "name"), [(DEEPSEEK_V3, "deepseek-v3"), (FALCON, "falcon"), (FALCON_3, "falcon")]
)
def test_steps_are_known_as_files_spell_them(published, name):
    assert named(json.loads(published)) == name


def test_what_happens_to_the_text_that_a_regex_finds_belongs_to_it():
    assert named(split(LLAMA3, "Removed", True), BYTES) == named(split(LLAMA3, "Isolated", True), BYTES) == "smaug-bpe"
    assert named(split(LLAMA3, "Removed"), BYTES) == named(split(LLAMA3, "MergedWithNext"), BYTES) == UNKNOWN
    assert named({**split(""), "pattern": {"String": LLAMA3}}, BYTES) == UNKNOWN
    assert named({"type": "Punctuation", "behavior": "Isolated"}, GPT2, DIGITS) == UNKNOWN
