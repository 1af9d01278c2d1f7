"""The vocabulary of each algorithm that a tokenizer.json may hold."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from quantgui.formats.gguf.tokenizer.pre_tokenizer import pre_tokenizer_name
from quantgui.formats.gguf.tokenizer.vocabulary import LOWEST_SCORE, Token, TokenKind, Vocabulary
from quantgui.types import UserError

MAX_TOKENS = 2**22
"""The largest vocabularies have a million tokens; an id beyond must not fill the memory with padding."""
SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""How SentencePiece writes a space."""

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_LOOKS_SPECIAL = re.compile(r"<\|.*\|>|<｜.*｜>|<unused.*>|<pad>|<mask>|<2mass>|\[@BOS@\]", re.DOTALL)
"""Added tokens that some tokenizers forget to mark as special (llama.cpp's `does_token_look_special`)."""
_REACHED_LAST = -1e9
"""Score of pieces that no merge makes."""


def vocabulary_of(data: Mapping[str, Any], settings: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary of a tokenizer.json; `settings` are those of tokenizer_config.json.

    Raises UserError for an algorithm that llama.cpp does not have, and KeyError, TypeError or ValueError where it is
    no tokenizer.json.
    """
    model = data["model"]
    kind = model.get("type") or ("Unigram" if isinstance(model["vocab"], list) else "BPE")
    if kind == "BPE" and (model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")):
        raise UserError("llama.cpp has no tokenizer that marks where words continue or end, as this one does.")
    if kind == "BPE" and not _is_byte_level(data):
        kind = "SentencePiece"
    build = _ALGORITHMS.get(kind)
    if build is None:
        raise UserError(f"llama.cpp has no tokenizer of the kind “{kind}”.")
    made = build(data, settings)
    return replace(made, tokens=_with_added(made, data.get("added_tokens") or ()))


def _byte_level(data: Mapping[str, Any], settings: Mapping[str, Any]) -> Vocabulary:
    model = data["model"]
    pre = pre_tokenizer_name(data, settings.get("clean_up_tokenization_spaces") is True)
    merges = [
        merge if isinstance(merge, str) else " ".join(_without_space(part) for part in merge)
        for merge in model["merges"]
    ]
    return Vocabulary("gpt2", _listed(model["vocab"]), pre, merges)


def _sentence_piece(data: Mapping[str, Any], settings: Mapping[str, Any]) -> Vocabulary:
    """BPE over characters with bytes as the last resort: llama.cpp merges the pair of the highest score first.

    Scores are the ranks of the merges, which SentencePiece's own scores order alike.
    """
    model = data["model"]
    scores: dict[str, float] = {}
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        scores.setdefault(left + right, -float(rank))
    unknown = model.get("unk_token")

    def token(text: str) -> Token:
        if text == unknown:
            return Token(text, TokenKind.UNKNOWN)
        if _BYTE.fullmatch(text):
            return Token(text, TokenKind.BYTE)
        return Token(text, TokenKind.NORMAL, scores.get(text, _REACHED_LAST))

    tokens = [token(listed.text) for listed in _listed(model["vocab"])]
    return Vocabulary("llama", tokens, adds_space=_adds_space(data))


def _unigram(data: Mapping[str, Any], settings: Mapping[str, Any]) -> Vocabulary:
    model = data["model"]
    unknown = model.get("unk_id")
    tokens = [
        Token(text, TokenKind.UNKNOWN if index == unknown else TokenKind.NORMAL, float(score))
        for index, (text, score) in enumerate(model["vocab"])
    ]
    steps = list(parts(data.get("normalizer")))
    charsmap = next((s["precompiled_charsmap"] for s in steps if s.get("type") == "Precompiled"), None) or ""
    try:
        normalization = base64.b64decode(charsmap)
    except binascii.Error as error:
        raise ValueError(f"the map of characters: {error}") from None
    return Vocabulary(
        "t5",
        tokens,
        adds_space=_adds_space(data),
        removes_spaces=strips_repeated_spaces(data),
        normalization=normalization,
    )


def _word_piece(data: Mapping[str, Any], settings: Mapping[str, Any]) -> Vocabulary:
    """llama.cpp marks beginnings of words instead of their continuations."""
    added = {entry["content"] for entry in data.get("added_tokens") or ()}

    def marked(text: str) -> str:
        if text in added:
            return text
        return text[2:] if text.startswith("##") else f"{SPACE}{text}"

    tokens = [Token(marked(token.text)) if token.text else token for token in _listed(data["model"]["vocab"])]
    steps = list(parts(data.get("normalizer")))
    lowercases = any(step.get("type") == "Lowercase" or step.get("lowercase") for step in steps)
    return Vocabulary("bert", tokens, lowercases=None if lowercases else False)


_ALGORITHMS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Vocabulary]] = {
    "BPE": _byte_level,
    "SentencePiece": _sentence_piece,
    "Unigram": _unigram,
    "WordPiece": _word_piece,
}


def _is_byte_level(data: Mapping[str, Any]) -> bool:
    steps = [*parts(data.get("pre_tokenizer")), *parts(data.get("decoder"))]
    return any(step.get("type") == "ByteLevel" for step in steps)


def strips_repeated_spaces(data: Mapping[str, Any]) -> bool:
    """Whether the steps of a Unigram tokenizer leave one space of several, and none at the ends."""
    steps = [*parts(data.get("normalizer")), *parts(data.get("pre_tokenizer"))]
    squeezed = any(step.get("type") == "Replace" and "Regex" in step["pattern"] for step in steps)
    return squeezed or any(step.get("type") in ("Strip", "WhitespaceSplit") for step in steps)


def _adds_space(data: Mapping[str, Any]) -> bool:
    """Whether a space is put before every text."""
    for step in (*parts(data.get("normalizer")), *parts(data.get("pre_tokenizer"))):
        if step.get("type") == "Prepend":
            return True
        if step.get("type") == "Metaspace":
            return step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never") != "never"
    return False


def parts(step: Any) -> Iterator[Mapping[str, Any]]:
    """A step of a tokenizer.json, or the steps of a sequence of them."""
    if not isinstance(step, Mapping):
        return
    inner = next((step[key] for key in ("pretokenizers", "normalizers", "decoders") if step.get(key)), None)
    if inner is None:
        yield step
        return
    for part in inner:
        yield from parts(part)


def _listed(vocab: Mapping[str, int]) -> list[Token]:
    """Tokens by their id; ids without a token have no text."""
    count = max(vocab.values(), default=-1) + 1
    if count > MAX_TOKENS or min(vocab.values(), default=0) < 0:
        raise ValueError(f"impossible token ids, up to {count:,}")
    tokens = [Token("")] * count
    for text, index in vocab.items():
        tokens[index] = Token(text)
    return tokens


def _with_added(vocabulary: Vocabulary, added: Any) -> list[Token]:
    """The tokens with those that were added to the vocabulary, which are never made by merging."""
    tokens = list(vocabulary.tokens)
    for entry in added:
        index, text = entry["id"], entry["content"]
        if not 0 <= index < MAX_TOKENS:
            raise ValueError(f"an impossible token id: {index:,}")
        tokens += [Token("")] * (index + 1 - len(tokens))
        if tokens[index].kind is TokenKind.UNKNOWN and tokens[index].text == text:
            continue
        control = entry.get("special") or _LOOKS_SPECIAL.fullmatch(text)
        kind = TokenKind.CONTROL if control else TokenKind.USER_DEFINED
        score = LOWEST_SCORE if vocabulary.has_scores else 0.0
        tokens[index] = Token(text if control else text.replace(SPACE, " "), kind, score)
    return tokens


def _without_space(part: str) -> str:
    """A space inside a part of a merge would be read as the space between the parts."""
    return part.replace(" ", "\u0120")
