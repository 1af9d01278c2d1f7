"""The files of a tokenizer: tokenizer.json, or the same content made of the older files that stand for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.formats.gguf.tokenizer import tekken
from quantgui.types import UserError

MAX_TOKENIZER_BYTES = 128 * 2**20
"""The largest tokenizer.json of a real model takes 35 MB."""
SENTENCE_PIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
TEMPLATE = "chat_template.jinja"
OLD_TEMPLATE = "chat_template.json"
_ADDED = "added_tokens.json"
_BYTE_LEVEL: Mapping[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
_WORD_PIECE_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, {} where there is no such file. Raises UserError where it is damaged."""
    if not is_file(path):
        return {}
    try:
        data = msgspec.json.decode(read_capped(path, MAX_TOKENIZER_BYTES))
    except (ValueError, RecursionError) as error:
        raise UserError(f"“{path.name}” is damaged.", hint="Download it again.", details=str(error)) from None
    if not isinstance(data, dict):
        raise UserError(f"“{path.name}” does not hold a JSON object.", hint="Download it again.")
    return data


def tokenizer_json(folder: Path) -> dict[str, Any]:
    """tokenizer.json, or what tekken.json, vocab.json with merges.txt, or vocab.txt say; {} where there is none."""
    if is_file(folder / "tokenizer.json"):
        return read_json(folder / "tokenizer.json")
    if is_file(folder / tekken.FILE):
        return tekken.tekken_as_tokenizer_json(read_json(folder / tekken.FILE))
    if is_file(folder / "vocab.json") and is_file(folder / "merges.txt"):
        lines = _lines(folder / "merges.txt")
        merges = [line for line in lines if line and not line.startswith("#version")]
        model = {"type": "BPE", "vocab": read_json(folder / "vocab.json"), "merges": merges}
        return {"model": model, "pre_tokenizer": _BYTE_LEVEL, "added_tokens": _old_added_tokens(folder)}
    if is_file(folder / "vocab.txt"):
        vocab = {line: index for index, line in enumerate(_lines(folder / "vocab.txt"))}
        special = [
            {"id": vocab[text], "content": text, "special": True} for text in _WORD_PIECE_SPECIAL if text in vocab
        ]
        settings = read_json(folder / "tokenizer_config.json")
        normalizer = {"type": "BertNormalizer", "lowercase": settings.get("do_lower_case", True)}
        model = {"type": "WordPiece", "vocab": vocab}
        return {"model": model, "normalizer": normalizer, "added_tokens": [*special, *_old_added_tokens(folder)]}
    return {}


def tokenizer_settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, or what it says beside every tekken.json."""
    settings = read_json(folder / "tokenizer_config.json")
    alone = not is_file(folder / "tokenizer.json") and is_file(folder / tekken.FILE)
    return {**tekken.SETTINGS, **settings} if alone else settings


def tokenizer_files(folder: Path) -> list[Path]:
    """All files that say something about a tokenizer, whether they are there or not."""
    names = ("tokenizer.json", "tokenizer_config.json", tekken.FILE, "vocab.json", "merges.txt", "vocab.txt", _ADDED)
    listed = [folder / name for name in (*names, *SENTENCE_PIECE, TEMPLATE, OLD_TEMPLATE)]
    return listed + more_templates(folder)


def more_templates(folder: Path) -> list[Path]:
    """The files of named chat templates."""
    return sorted((folder / "additional_chat_templates").glob("*.jinja"))


def sentence_piece_file(folder: Path) -> Path | None:
    """The SentencePiece model of a folder, None where it has none."""
    return next((folder / name for name in SENTENCE_PIECE if is_file(folder / name)), None)


def _old_added_tokens(folder: Path) -> list[dict[str, Any]]:
    """Added tokens as tokenizer.json lists them, from the settings of older tokenizers."""
    settings = read_json(folder / "tokenizer_config.json").get("added_tokens_decoder")
    entries = settings.items() if isinstance(settings, Mapping) else ()
    found = [
        {**entry, "id": int(token)} for token, entry in entries if token.isdecimal() and isinstance(entry, Mapping)
    ]
    listed = {entry["id"] for entry in found}
    more = read_json(folder / _ADDED)
    return found + [{"id": token, "content": text} for text, token in more.items() if token not in listed]


def _lines(path: Path) -> list[str]:
    return read_capped(path, MAX_TOKENIZER_BYTES).decode("utf-8", "replace").rstrip("\n").split("\n")
