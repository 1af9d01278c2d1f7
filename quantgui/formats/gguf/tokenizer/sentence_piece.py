"""Reading a SentencePiece model (tokenizer.model): the few fields of its protocol buffer that a GGUF file needs.

Layout: sentencepiece_model.proto. The file comes with a model, so nothing in it is taken on trust.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantgui.checkpoint.regular_file import read_capped
from quantgui.formats.gguf.tokenizer.files import MAX_TOKENIZER_BYTES
from quantgui.formats.gguf.tokenizer.vocabulary import Token, TokenKind, Vocabulary
from quantgui.types import UserError

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_UNIGRAM, _BPE = 1, 2
_ALGORITHMS: Mapping[int, str] = {_UNIGRAM: "t5", _BPE: "llama"}
MAX_PIECES = 2**24
_SPECIAL: Mapping[str, tuple[int, int]] = {"unk": (40, 0), "bos": (41, 1), "eos": (42, 2), "pad": (43, -1)}
"""Name -> the trainer's field with its id, and the id where it states none. -1 is none."""


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    value: int | bytes


def read_sentence_piece(path: Path) -> Vocabulary:
    """The vocabulary of a SentencePiece model. Raises UserError where it is damaged or of another algorithm."""
    data = read_capped(path, MAX_TOKENIZER_BYTES)
    try:
        return _vocabulary(data)
    except (ValueError, IndexError, struct.error) as error:
        raise UserError(f"“{path.name}” is damaged.", hint="Download it again.", details=str(error)) from None


def _vocabulary(data: bytes) -> Vocabulary:
    tokens: list[Token] = []
    trainer: dict[int, Any] = {}
    normalizer: dict[int, Any] = {}
    for field in _fields(data):
        if field.number == _PIECES and len(tokens) < MAX_PIECES:
            tokens.append(_piece(_bytes(field)))
        elif field.number == _TRAINER:
            trainer = {f.number: f.value for f in _fields(_bytes(field))}
        elif field.number == _NORMALIZER:
            normalizer = {f.number: f.value for f in _fields(_bytes(field))}
    algorithm = trainer.get(3, _UNIGRAM)
    if algorithm not in _ALGORITHMS or not tokens:
        raise ValueError(f"algorithm {algorithm}, {len(tokens)} pieces")
    special = _special(trainer, tokens)
    made = Vocabulary(_ALGORITHMS[int(algorithm)], tokens, adds_space=bool(normalizer.get(3, 1)), special=special)
    if made.model != "t5":
        return made
    charsmap = normalizer.get(2, b"")
    if not isinstance(charsmap, bytes):
        raise ValueError("the map of characters is a number")
    return replace(made, removes_spaces=bool(normalizer.get(4, 1)), normalization=charsmap)


def _special(trainer: Mapping[int, Any], tokens: Sequence[Token]) -> dict[str, int]:
    """The tokens that the trainer states by their names, where they are no pieces of text."""
    stated = {name: trainer.get(number, default) for name, (number, default) in _SPECIAL.items()}
    return {
        name: token
        for name, token in stated.items()
        if isinstance(token, int)
        and 0 <= token < len(tokens)
        and tokens[token].kind in (TokenKind.CONTROL, TokenKind.UNKNOWN)
    }


def _piece(data: bytes) -> Token:
    text, score, kind = b"", 0.0, TokenKind.NORMAL
    for field in _fields(data):
        if field.number == 1:
            text = _bytes(field)
        elif field.number == 2:
            (score,) = struct.unpack("<f", _bytes(field))
        elif field.number == 3:
            kind = TokenKind(int(field.value))
    if not math.isfinite(score):
        raise ValueError("a score that is not a number")
    return Token(text.decode("utf-8", "replace"), kind, score)


def _bytes(field: _Field) -> bytes:
    if not isinstance(field.value, bytes):
        raise ValueError(f"field {field.number} holds a number")
    return field.value


def _fields(data: bytes) -> Iterator[_Field]:
    """The fields of one message. Raises ValueError or IndexError where the bytes are none."""
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        match key & 7:
            case 0:
                value, at = _number(data, at)
                yield _Field(key >> 3, value)
                continue
            case 1:
                size = 8
            case 2:
                size, at = _number(data, at)
            case 5:
                size = 4
            case kind:
                raise ValueError(f"wire type {kind}")
        if size > len(data) - at:
            raise ValueError("a field reaches beyond the end")
        yield _Field(key >> 3, data[at : at + size])
        at += size


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
