r"""Which of llama.cpp's ways to cut a text before merging is the one of a tokenizer.json: told by its regexes.

llama.cpp knows them by the name of a model that used one first (`LLAMA_VOCAB_PRE_TYPE_*` in llama-vocab.cpp); its
converter finds the name from a hash of some encoded text, which only knows published tokenizers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

UNKNOWN = "default"
"""What llama.cpp falls back to."""
GPT2 = "gpt-2"

_CASES = r"'s|'t|'re|'ve|'m|'ll|'d"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_REST_WITH_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BY_CASE = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s"
_ENGLISH = rf"(?i:{_CASES})?"
GPT2_REGEX = rf"{_CASES}| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|\s+(?!\S)|\s+"
_CHINESE_AND_KANA = "[一-龥぀-ゟ゠-ヿ]+"
_CHINESE_AND_KOREAN = "[一-龥ࠀ-一가-퟿]+"
DIGITS = "digits"
"""A step that is no regex of the file: every digit stands alone."""

NAMES: Mapping[tuple[str, ...], str] = {
    (GPT2_REGEX,): GPT2,
    (DIGITS, GPT2_REGEX): "smollm",
    (rf"(?i:{_CASES})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_REST}",): "llama-bpe",
    (rf"(?i:{_CASES})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_REST}",): "qwen2",
    (
        rf"(?i:{_CASES})|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    ): "qwen35",
    (rf"{_BY_CASE % ('', '')}|\p{{N}}|{_REST_WITH_SLASH}",): "tekken",
    (rf"{_BY_CASE % (_ENGLISH, _ENGLISH)}|\p{{N}}{{1,3}}|{_REST_WITH_SLASH}",): "gpt-4o",
    (
        rf"(?i:{_CASES})|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+",
    ): "seed-coder",
    (
        r"\p{N}{1,3}",
        _CHINESE_AND_KANA,
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
        r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    ): "deepseek-v3",
    (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CHINESE_AND_KOREAN, DIGITS): "deepseek-coder",
    (" ?[^(\\s|[.,!?…。，、।۔،])]+",): "bloom",
}
"""The regexes, in order, of every way that the convertible architectures use -> llama.cpp's name."""
_WITHOUT_IGNORING_MERGES: Mapping[str, str] = {"llama-bpe": "smaug-bpe"}
"""The same regex for a tokenizer that always merges, also where a whole word is a token."""


def pre_tokenizer_name(data: Mapping[str, Any], cleans_spaces: bool = False) -> str:
    """llama.cpp's name for the pre-tokenizer of a byte-level tokenizer.json; UNKNOWN where it has none.

    `cleans_spaces` is tokenizer_config's clean_up_tokenization_spaces.
    """
    steps = tuple(_steps(data.get("pre_tokenizer")))
    name = NAMES.get(steps, UNKNOWN)
    if name == "smollm" and cleans_spaces:
        return "starcoder"
    if not data["model"].get("ignore_merges"):
        return _WITHOUT_IGNORING_MERGES.get(name, name)
    return name


def _steps(step: Any) -> Iterator[str]:
    """The regexes of a pre-tokenizer in the order in which they cut."""
    if not isinstance(step, Mapping):
        return
    match step.get("type"):
        case "Sequence":
            for inner in step.get("pretokenizers") or ():
                yield from _steps(inner)
        case "Split":
            pattern = step.get("pattern")
            regex = pattern.get("Regex", pattern.get("String", "")) if isinstance(pattern, Mapping) else ""
            yield str(regex).replace("\r", r"\r").replace("\n", r"\n")
        case "Digits":
            yield DIGITS if step.get("individual_digits") else "digits together"
        case "ByteLevel":
            if step.get("use_regex", True):
                yield GPT2_REGEX
        case other:
            yield str(other)
