"""A tokenizer as GGUF files hold it: the tokens with their kinds, scores and merges, and its keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum

from quantgui.formats.gguf.key_values import KeyValue, ValueKind, array_of, flag, text, u32

LOWEST_SCORE = -10_000.0
"""Of tokens that are never made by merging: padding, special tokens."""


class TokenKind(IntEnum):
    """`enum llama_token_type`, which is also SentencePiece's."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3  # special: begins or ends something, never typed
    USER_DEFINED = 4  # found in a text before anything else is cut
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `score` counts where the vocabulary merges by score."""

    text: str
    kind: TokenKind = TokenKind.NORMAL
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A tokenizer. `model` is llama.cpp's name of its algorithm, `pre` of its pre-tokenizer."""

    model: str  # "gpt2" (byte-level BPE), "llama" (SentencePiece BPE), "t5" (Unigram), "bert" (WordPiece)
    tokens: Sequence[Token]
    pre: str = "default"
    merges: Sequence[str] = ()
    adds_space: bool | None = None  # a space before a text; None: llama.cpp's default
    removes_spaces: bool | None = None  # repeated ones
    lowercases: bool | None = None
    normalization: bytes = b""  # SentencePiece's precompiled map of characters
    special: Mapping[str, int] = field(default_factory=dict)  # GGUF's name ("bos") -> token
    adds: Mapping[str, bool] = field(default_factory=dict)  # "bos", "eos": added to every text
    templates: Mapping[str, str] = field(default_factory=dict)  # chat templates by name; "" is the default one
    warnings: tuple[str, ...] = ()

    @property
    def texts(self) -> Iterator[str]:
        """The tokens' texts in order."""
        return (token.text for token in self.tokens)

    @property
    def has_scores(self) -> bool:
        """Whether the algorithm merges by score."""
        return self.model in ("llama", "t5")


_SPECIAL_KEYS: Mapping[str, str] = {
    "bos": "bos",
    "eos": "eos",
    "unk": "unknown",
    "sep": "seperator",  # llama.cpp spells it so
    "pad": "padding",
    "cls": "cls",
    "mask": "mask",
    "eot": "eot",
    "eom": "eom",
}
"""Name in tokenizer_config.json -> name in GGUF's keys."""


def padded_to(vocabulary: Vocabulary, rows: int) -> Vocabulary:
    """The same with exactly `rows` tokens: llama.cpp takes the number of rows of the embedding from the list.

    Rows without a token become `[PAD7]`; tokens without a row could not be computed with and are left out. A text that
    two tokens share, which would end llama.cpp, stays with the first.
    """
    tokens, warnings = list(vocabulary.tokens[:rows]), vocabulary.warnings
    if len(vocabulary.tokens) > rows:
        lost = len(vocabulary.tokens) - rows
        warnings += (f"{lost:,} tokens of the tokenizer have no row in the embedding, so they are left out.",)
    tokens += [Token("")] * (rows - len(tokens))
    seen: set[str] = set()
    for index, token in enumerate(tokens):
        if not token.text or token.text in seen:
            tokens[index] = Token(f"[PAD{index}]", TokenKind.UNUSED, LOWEST_SCORE)
        seen.add(tokens[index].text)
    special = {name: token for name, token in vocabulary.special.items() if token < rows}
    return replace(vocabulary, tokens=tokens, special=special, warnings=warnings)


def vocabulary_keys(vocabulary: Vocabulary) -> list[KeyValue]:
    """The tokenizer's keys, in the order of llama.cpp's converter."""
    prefix, tokens = "tokenizer.ggml", vocabulary.tokens
    keys = [
        text(f"{prefix}.model", vocabulary.model),
        text(f"{prefix}.pre", vocabulary.pre),
        array_of(f"{prefix}.tokens", ValueKind.STRING, [token.text for token in tokens]),
    ]
    if vocabulary.has_scores:
        keys.append(array_of(f"{prefix}.scores", ValueKind.FLOAT32, [token.score for token in tokens]))
    keys.append(array_of(f"{prefix}.token_type", ValueKind.INT32, [token.kind for token in tokens]))
    if vocabulary.model == "gpt2":  # llama.cpp wants the key although there are none
        keys.append(array_of(f"{prefix}.merges", ValueKind.STRING, vocabulary.merges))
    flags = {
        "add_space_prefix": vocabulary.adds_space,
        "remove_extra_whitespaces": vocabulary.removes_spaces,
        "normalizer.lowercase": vocabulary.lowercases,
    }
    keys += [flag(f"{prefix}.{name}", on) for name, on in flags.items() if on is not None]
    if vocabulary.normalization:
        keys.append(array_of(f"{prefix}.precompiled_charsmap", ValueKind.UINT8, vocabulary.normalization))
    keys += [u32(f"{prefix}.{_SPECIAL_KEYS[name]}_token_id", token) for name, token in vocabulary.special.items()]
    keys += [flag(f"{prefix}.add_{name}_token", on) for name, on in vocabulary.adds.items()]
    return keys + _template_keys(vocabulary.templates)


def _template_keys(templates: Mapping[str, str]) -> list[KeyValue]:
    named = [name for name in templates if name]
    keys = [array_of("tokenizer.chat_templates", ValueKind.STRING, named)] if named else []
    key = "tokenizer.chat_template"
    return keys + [text(f"{key}.{name}" if name else key, content) for name, content in templates.items()]
