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
DIGITS = "digits"
"""A step that is no regex of the file: every digit stands alone."""
NUMBERS = "numbers"
"""Likewise: the digits of a number stand together."""
PUNCTUATION = "punctuation"
"""Likewise: signs that follow each other stand together."""

_CASES = r"'s|'t|'re|'ve|'m|'ll|'d"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+"
_REST = rf"{_SIGNS}[\r\n]*|{_SPACES}"
_REST_WITH_SLASH = rf"{_SIGNS}[\r\n/]*|{_SPACES}"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_WORDS = rf"(?i:{_CASES})|{_WORD}"
_POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|%s| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
"""How tiktoken spells it; it finds the same words."""
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BY_CASE = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s"
_ENGLISH = rf"(?i:{_CASES})?"
_O200K = rf"{_BY_CASE % (_ENGLISH, _ENGLISH)}|\p{{N}}{{1,3}}|{_REST_WITH_SLASH}"
GPT2_REGEX = rf"{_CASES}| ?\p{{L}}+| ?\p{{N}}+|{_SIGNS}|\s+(?!\S)|\s+"
_CHINESE_AND_KANA = "[一-龥぀-ゟ゠-ヿ]+"
_CHINESE_AND_KOREAN = "[一-龥ࠀ-一가-퟿]+"
_DEEPSEEK_WORDS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
_BLOOM = " ?[^(\\s|[.,!?…。，、।۔،])]+"
_JAIS_SPACES = "|".join(rf"\s{{{count}}}(?!\S)" for count in (512, 256, 128, 64, 32, 16, 8, 4))
_CASED_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb"
    "\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4"
    "\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)
"""Letters with capitals, as DeepSeek lists them; by their numbers, since normalization would change some."""

NAMES: Mapping[tuple[str, ...], str] = {
    (GPT2_REGEX,): GPT2,
    (DIGITS, GPT2_REGEX): "smollm",
    (PUNCTUATION, GPT2_REGEX, NUMBERS, "[0-9][0-9][0-9]"): "falcon",
    (PUNCTUATION, GPT2_REGEX, DIGITS): "falcon",  # Falcon 3: closer than llama.cpp's "falcon3", which is "llama-bpe"
    (rf"{_WORDS}|\p{{N}}{{1,3}}|{_REST}",): "llama-bpe",
    (rf"{_WORDS}|\p{{N}}|{_REST}",): "qwen2",
    (_POSSESSIVE % r"\p{N}{1,3}",): "llama-bpe",
    (_POSSESSIVE % r"\p{N}",): "qwen2",  # Ling and LLaDA
    (
        rf"(?i:{_CASES})|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*"
        rf"|{_SPACES}",
    ): "qwen35",
    (rf"{_WORD}|\p{{N}}|{_REST}",): "ufakzeka",
    (r"\p{N}{1,3}", rf"{_WORDS}|\p{{N}}+|{_REST}"): "minicpm5",
    (rf"{_WORDS}|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}",): "seed-coder",
    (rf"{_WORDS}|\p{{N}}{{1,3}}|{_SIGNS}[\r\n]*|\s*[\r\n]+|{_JAIS_SPACES}|\s{{1,2}}(?!\S)|\s{{1}}",): "jais-2",
    (
        rf"(?i:{_CASES})|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+|\p{{N}}|{_SIGNS}[\r\n/]?"
        r"|\s*[\r\n]|\s+(?!\S)|\s+",
    ): "exaone-moe",
    (NUMBERS, r"(?=(\d{3})+(?!\d))"): "superbpe",
    (rf"{_BY_CASE % ('', '')}|\p{{N}}|{_REST_WITH_SLASH}",): "tekken",
    (_O200K,): "gpt-4o",
    (r"\d{1,3}(?=(?:\d{3})*\b)", _O200K): "tiny_aya",
    (
        r"\p{N}{1,3}",
        _CHINESE_AND_KANA,
        rf"{_DEEPSEEK_WORDS}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
    ): "deepseek-v3",
    (
        r"\p{N}{1,3}",
        _CHINESE_AND_KANA,
        rf"{_DEEPSEEK_WORDS}| ?[\p{{P}}\p{{S}}]+|[\r\n]|\s+(?!\S)|\s+",
        DIGITS,
    ): "spark2_5",
    (
        r"[\r\n]",
        rf"\s?[{_CASED_LETTERS}]+",
        "\\s?[!-/:-~！-／：-～‘-‟\u3000-。]+",
        r"\s+$",
        _CHINESE_AND_KOREAN,
        DIGITS,
    ): "deepseek-llm",
    (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _CHINESE_AND_KOREAN, DIGITS): "deepseek-coder",
    (_BLOOM,): "bloom",
    (_BLOOM, DIGITS): "viking",
}
"""The steps, in order, of the ways that published files spell -> llama.cpp's name."""
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
            yield _split(step)
        case "Digits":
            yield DIGITS if step.get("individual_digits") else NUMBERS
        case "Punctuation" if step.get("behavior") == "Contiguous":
            yield PUNCTUATION
        case "ByteLevel":
            if step.get("use_regex", True):
                yield GPT2_REGEX
        case other:
            yield str(other)


def _split(step: Mapping[str, Any]) -> str:
    """The regex where what it finds and what lies between both stay: other ways of splitting have no regex alone."""
    pattern = step.get("pattern")
    regex = pattern.get("Regex") if isinstance(pattern, Mapping) else None
    behavior = step.get("behavior", "Isolated"), bool(step.get("invert"))
    if not isinstance(regex, str) or (behavior[0] != "Isolated" and behavior != ("Removed", True)):
        return f"split {behavior} {pattern}"
    return regex.replace("\r", r"\r").replace("\n", r"\n")
