"""Where llama.cpp cuts texts in another way than a tokenizer.json says: one sentence each, before anything is written.

llama.cpp has one fixed way per algorithm (llama-vocab.cpp): what a file's steps ask for beside it is not done, and no
key could say it. `tests/pipeline/test_gguf_tokens.py` shows each difference in llama.cpp itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from quantgui.formats.gguf.tokenizer.algorithms import SPACE, parts, strips_repeated_spaces
from quantgui.formats.gguf.tokenizer.pre_tokenizer import UNKNOWN
from quantgui.formats.gguf.tokenizer.special import surroundings
from quantgui.formats.gguf.tokenizer.vocabulary import TokenKind, Vocabulary
from quantgui.types import UserError

_STRIPPED_BY_NAME = ("phi-3", "phi3")
"""Models in whose files llama.cpp drops the spaces behind special tokens: it looks at general.name."""
_MASKS = frozenset({"<mask>", "[MASK]"})
"""Tokens that stand for a word to guess; nobody prompts with them."""
_BY_CASE = (
    "llama.cpp only comes close to how this tokenizer cuts words: capital letters beyond A to Z inside a word, and "
    "letters with marks of their own as in Hindi, become other tokens."
)
_ACROSS = "Tokens are the same unless one reaches across such a place."
_APPROXIMATED: Mapping[str, str] = {
    "tekken": _BY_CASE,
    "gpt-4o": _BY_CASE,
    "falcon": (
        "llama.cpp does not cut a text at every number, nor inside letters beyond A to Z whose bytes look like one. "
        + _ACROSS
    ),
    "tiny_aya": (
        "llama.cpp only comes close to how this tokenizer cuts a text: several spaces before a number, and words with "
        "capital letters inside, can become other tokens."
    ),
    "deepseek-llm": f"llama.cpp keeps digits together and does not cut at every unusual space. {_ACROSS}",
    "deepseek-coder": (
        "llama.cpp cuts a text in other places beside unusual spaces, such as thin or ideographic ones. " + _ACROSS
    ),
}
"""Pre-tokenizers whose regexes llama.cpp replaces by simpler ones (`unicode_regex_split` in unicode.cpp)."""
_OTHER_WORDS = "llama.cpp does not know how this tokenizer cuts a text into words. Some texts will become other tokens."
_NO_NAME = (
    "QuantGUI does not know which of llama.cpp's ways to cut a text into words is this tokenizer's. Some texts will "
    "become other tokens."
)


def differences(data: Mapping[str, Any], vocabulary: Vocabulary, name: str) -> tuple[str, ...]:
    """What a person should know before converting. `data` is a tokenizer.json, `name` the model's."""
    return (*_BY_ALGORITHM[vocabulary.model](data, vocabulary), *_kept_spaces(data, name), *_left_out(data))


def check_bytes(vocabulary: Vocabulary) -> None:
    """Raises UserError for SentencePiece without a token for every byte: an unknown character would end llama.cpp."""
    if vocabulary.model != "llama":
        return
    found = {token.text for token in vocabulary.tokens if token.kind is TokenKind.BYTE}
    if len(found) < 256:
        raise UserError(
            "This tokenizer has no tokens for single bytes, and llama.cpp cannot do without them.",
            hint="A GGUF file needs byte-level BPE, SentencePiece with byte fallback, Unigram or WordPiece.",
        )


def _byte_level(data: Mapping[str, Any], vocabulary: Vocabulary) -> Iterator[str]:
    if vocabulary.pre == UNKNOWN:
        yield _NO_NAME
    if vocabulary.pre in _APPROXIMATED:
        yield _APPROXIMATED[vocabulary.pre]
    if any(step.get("add_prefix_space") for step in parts(data.get("pre_tokenizer"))):
        yield "This tokenizer puts a space before every text, which llama.cpp does not do."
    if "NFC" in _kinds(data, "normalizer"):
        yield (
            "This tokenizer joins letters with their accents (NFC) before it cuts a text. llama.cpp does not, so "
            "accents written as characters of their own become other tokens."
        )
    yield from _changes(data, {"NFC"})


def _sentence_piece(data: Mapping[str, Any], vocabulary: Vocabulary) -> Iterator[str]:
    yield from _spaces_before(data)
    yield from _changes(data, {"Prepend", "Replace"})
    if _kinds(data, "pre_tokenizer") - {"Metaspace", "Split"}:
        yield _OTHER_WORDS


def _unigram(data: Mapping[str, Any], vocabulary: Vocabulary) -> Iterator[str]:
    yield from _spaces_before(data)
    yield from _changes(data, {"Precompiled", "Strip", "Replace"})
    if _kinds(data, "pre_tokenizer") - {"Metaspace", "WhitespaceSplit"}:
        yield _OTHER_WORDS


def _word_piece(data: Mapping[str, Any], vocabulary: Vocabulary) -> Iterator[str]:
    steps = list(parts(data.get("normalizer")))
    lowercases = vocabulary.lowercases is not False
    strips = any(
        step.get("type") == "StripAccents" or (lowercases if (own := step.get("strip_accents")) is None else own)
        for step in steps
    )
    if strips is not lowercases:
        yield (
            f"This tokenizer {'removes' if strips else 'keeps'} accents, llama.cpp does not: it removes them exactly "
            "where it writes everything in small letters."
        )
    if lowercases and _has_vowel_signs(vocabulary):
        yield "llama.cpp takes the vowel signs of Hindi, Bengali and Korean for accents and removes them."
    if any(step.get("handle_chinese_chars") is False for step in steps):
        yield "llama.cpp takes every Chinese character for a word of its own, which this tokenizer does not do."
    if _kinds(data, "pre_tokenizer") - {"BertPreTokenizer"}:
        yield _OTHER_WORDS


def _has_vowel_signs(vocabulary: Vocabulary) -> bool:
    """Whether tokens hold marks that take room, or the vowels that Korean syllables are taken apart into."""
    letters = set().union(*(token.text for token in vocabulary.tokens))
    return any(unicodedata.category(letter) == "Mc" or "\u1160" <= letter <= "\u11ff" for letter in letters)


_BY_ALGORITHM: Mapping[str, Callable[[Mapping[str, Any], Vocabulary], Iterator[str]]] = {
    "gpt2": _byte_level,
    "llama": _sentence_piece,
    "t5": _unigram,
    "bert": _word_piece,
}


def _kinds(data: Mapping[str, Any], name: str) -> set[str]:
    """The types of all steps under a name of tokenizer.json."""
    return {str(step.get("type")) for step in parts(data.get(name))}


def _changes(data: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    """Normalizers that llama.cpp does not have."""
    other = sorted(_kinds(data, "normalizer") - known)
    if other:
        yield (
            f"This tokenizer changes a text before it cuts it ({', '.join(other)}), which llama.cpp does not do. "
            "Many texts will become other tokens."
        )


def _spaces_before(data: Mapping[str, Any]) -> Iterator[str]:
    """llama.cpp puts its space before a text as SentencePiece does; the Metaspace step looks at the text first."""
    step = next((step for step in parts(data.get("pre_tokenizer")) if step.get("type") == "Metaspace"), None)
    scheme = (
        step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never") if step else "never"
    )
    if scheme == "first":
        yield "llama.cpp also puts a space behind special tokens inside a text, which this tokenizer does not do."
    if scheme != "never" and not strips_repeated_spaces(data):
        yield "llama.cpp puts a space before a text also where it begins with one, which this tokenizer does not do."


def _left_out(data: Mapping[str, Any]) -> Iterator[str]:
    """Tokens around every text, of which llama.cpp adds one at each end."""
    before, behind = surroundings(data)
    left_out = [*before[1:], *behind[:-1]]
    if left_out:
        yield f"This tokenizer also puts {', '.join(left_out)} around every text, which llama.cpp does not do."


def _kept_spaces(data: Mapping[str, Any], name: str) -> Iterator[str]:
    """Special tokens that swallow the spaces beside them."""
    if any(part in name.lower() for part in _STRIPPED_BY_NAME):
        return
    strip = [entry["content"] for entry in data.get("added_tokens") or () if entry.get("lstrip") or entry.get("rstrip")]
    shown = next((text for text in strip if text not in _MASKS), None)
    if shown is not None:
        yield f"This tokenizer drops the spaces beside “{shown.replace(SPACE, ' ')}”, which llama.cpp does not do."
