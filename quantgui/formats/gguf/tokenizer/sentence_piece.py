"""Reading a SentencePiece model (tokenizer.model): the few fields of its protocol buffer that a GGUF file needs.

Layout: sentencepiece_model.proto. The file comes with a model, so nothing in it is taken on trust.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from quantgui.checkpoint.regular_file import read_capped
from quantgui.formats.gguf.tokenizer.vocabulary import Token, TokenKind, Vocabulary
from quantgui.types import UserError

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_UNIGRAM, _BPE = 1, 2
_ALGORITHMS: Mapping[int, str] = {_UNIGRAM: "t5", _BPE: "llama"}
MAX_BYTES = 32 * 2**20
"""Gemma's file takes less than 5 MB."""
MAX_PIECES = 2**20
"""The largest published vocabulary, XLM-V's, has 901,629."""
_OTHER_FIELDS = 64
"""Of a model beside its pieces; there are three."""
_PIECE_FIELDS = 16
_SETTINGS_FIELDS = 2**16
"""A trainer lists the symbols that people defined."""
_SPECIAL: Mapping[str, tuple[int, int]] = {"unk": (40, 0), "bos": (41, 1), "eos": (42, 2), "pad": (43, -1)}
"""Name -> the trainer's field with its id, and the id where it states none. -1 is none."""
_SIZES: Mapping[int, int] = {1: 8, 5: 4}
"""Wire type -> bytes of fields that state no length."""
_Field = tuple[int, int | bytes]
"""Number and value."""


def read_sentence_piece(path: Path) -> Vocabulary:
    """The vocabulary of a SentencePiece model. Raises UserError where it is damaged or of another algorithm."""
    data = read_capped(path, MAX_BYTES)
    try:
        return _vocabulary(data)
    except (ValueError, IndexError, struct.error) as error:
        raise UserError(f"“{path.name}” is damaged.", hint="Download it again.", details=str(error)) from None


def _vocabulary(data: bytes) -> Vocabulary:
    tokens: list[Token] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, value in _fields(data, MAX_PIECES + _OTHER_FIELDS):
        if number == _PIECES:
            tokens.append(_piece(_bytes(value)))
        elif number == _TRAINER:
            trainer = dict(_fields(_bytes(value), _SETTINGS_FIELDS))
        elif number == _NORMALIZER:
            normalizer = dict(_fields(_bytes(value), _SETTINGS_FIELDS))
    algorithm = trainer.get(3, _UNIGRAM)
    if algorithm not in _ALGORITHMS or not tokens:
        raise ValueError(f"algorithm {algorithm!r}, {len(tokens)} pieces")
    special = _special(trainer, tokens)
    made = Vocabulary(_ALGORITHMS[int(algorithm)], tokens, adds_space=bool(normalizer.get(3, 1)), special=special)
    if made.model != "t5":
        return made
    charsmap = normalizer.get(2, b"")
    return replace(made, removes_spaces=bool(normalizer.get(4, 1)), normalization=_bytes(charsmap))


def _special(trainer: Mapping[int, int | bytes], tokens: Sequence[Token]) -> dict[str, int]:
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
    for number, value in _fields(data, _PIECE_FIELDS):
        if number == 1:
            text = _bytes(value)
        elif number == 2:
            (score,) = struct.unpack("<f", _bytes(value))
        elif number == 3:
            kind = TokenKind(value)
    if not text or not math.isfinite(score):
        raise ValueError("a piece without a text, or a score that is not a number")
    return Token(text.decode("utf-8", "replace"), kind, score)


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"the number {value} in the place of a text")
    return value


def _fields(data: bytes, most: int) -> Iterator[_Field]:
    """The fields of one message. Raises ValueError or IndexError where the bytes are none, or more than `most`."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > most:
            raise ValueError(f"more than {most:,} fields in one message")
        key, at = _number(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _number(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _number(data, at)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise ValueError(f"wire type {kind}")
        if size > len(data) - at:
            raise ValueError("a field reaches beyond the end")
        yield key >> 3, data[at : at + size]
        at += size


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where the next field begins."""
    if data[at] < 0x80:  # nearly always
        return data[at], at + 1
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
