"""Special tokens, whether they are added to a text, and the chat templates: from the files beside a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.formats.gguf.tokenizer.files import OLD_TEMPLATE, TEMPLATE, more_templates, read_json
from quantgui.formats.gguf.tokenizer.vocabulary import TokenKind, Vocabulary

NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
MAX_TEMPLATE_BYTES = 4 * 2**20
_ASSUMED_ENDS: Mapping[str, int] = {"gpt2": 11, "llama": 2, "t5": 1}
"""The end of a text where a file states none, by algorithm (llama-vocab.cpp). No key can say that there is none."""


def special_tokens(
    data: Mapping[str, Any], settings: Mapping[str, Any], config: Mapping[str, Any], ids: Mapping[str, int]
) -> dict[str, int]:
    """Token by name ("bos"), from tokenizer_config.json, else from config.json. `ids` are the tokens' by their text.

    The tokens that the tokenizer puts before and behind every text are its beginning and end also where the settings
    name others; another end is then the one of a turn. Where config.json lists several ends, the next two end a turn
    and a message: llama.cpp stops at each of them.
    """
    named = {name: text for name in NAMES if (text := _content(settings.get(f"{name}_token")))}
    named.setdefault("bos", named.get("cls", ""))
    named.setdefault("eos", named.get("sep", ""))
    first, last = _added(data)
    if first:
        named["bos"] = first
    if last and last != named["eos"]:
        named["eot"], named["eos"] = named["eos"], last
    found = {name: ids[text] for name, text in named.items() if text and text in ids}
    for name in NAMES:
        for token in _ids(config.get(f"{name}_token_id")):
            found.setdefault(name, token)
    return {**_more_ends(config, found), **found}


def with_stated_ends(vocabulary: Vocabulary) -> Vocabulary:
    """The same, which adds no token that it does not name, and warns where llama.cpp will end texts at some word."""
    adds = {name: on and name in vocabulary.special for name, on in vocabulary.adds.items()}
    made = replace(vocabulary, adds=adds)
    assumed = _ASSUMED_ENDS.get(vocabulary.model)
    if assumed is None or "eos" in vocabulary.special or assumed >= len(vocabulary.tokens):
        return made
    token = vocabulary.tokens[assumed]
    if token.kind is TokenKind.CONTROL:
        return made
    warning = (
        "The model's files name no token that ends a text. "
        f"llama.cpp takes token {assumed} (“{token.text}”) for it and stops writing there."
    )
    return replace(made, warnings=(*vocabulary.warnings, warning))


def added_tokens(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, bool]:
    """Whether the tokenizer puts a token before ("bos") and behind ("eos") every text."""
    first, last = _added(data)
    added = {"bos": bool(first), "eos": bool(last)}
    for name in added:
        stated = settings.get(f"add_{name}_token")
        if isinstance(stated, bool):
            added[name] = stated
    return added


def chat_templates(folder: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Chat templates by name, the default one under "": the file beside the tokenizer, else its settings."""
    path = folder / TEMPLATE
    if is_file(path):
        found = {"": read_capped(path, MAX_TEMPLATE_BYTES).decode("utf-8", "replace")}
        for more in more_templates(folder):
            found[more.stem] = read_capped(more, MAX_TEMPLATE_BYTES).decode("utf-8", "replace")
        return found
    stated = settings.get("chat_template") or read_json(folder / OLD_TEMPLATE).get("chat_template")
    if isinstance(stated, str):
        return {"": stated}
    if not isinstance(stated, list):
        return {}
    entries = [entry for entry in stated if isinstance(entry, Mapping)]
    named = {str(entry.get("name")): str(entry.get("template", "")) for entry in entries}
    default = named.pop("default", None)
    return ({"": default} if default is not None else {}) | named


def _more_ends(config: Mapping[str, Any], found: Mapping[str, int]) -> dict[str, int]:
    """Where config.json lists several ends, the next ones as those of a turn and of a message. One alone, beside the
    tokenizer's own, is often left over from another model."""
    listed = config.get("eos_token_id")
    others = [token for token in _ids(listed) if token not in (found.get("eos"), found.get("eot"))]
    free = (name for name in ("eot", "eom") if name not in found)
    return dict(zip(free, others, strict=False)) if isinstance(listed, list) else {}


def _ids(stated: Any) -> list[int]:
    """An id of config.json, or the ids of a list."""
    entries = stated if isinstance(stated, list) else [stated]
    return [entry for entry in entries if isinstance(entry, int) and not isinstance(entry, bool) and entry >= 0]


def _content(entry: Any) -> str:
    """A token is stated as its text or as an object with its text."""
    content = entry.get("content") if isinstance(entry, Mapping) else entry
    return content if isinstance(content, str) else ""


def surroundings(data: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Texts of the special tokens before and behind a single text."""
    processor = data.get("post_processor")
    if not isinstance(processor, Mapping):
        return [], []
    for step in processor.get("processors") or [processor]:
        match step.get("type"):
            case "TemplateProcessing":
                pieces = [_special(piece) for piece in step.get("single") or ()]
                at = pieces.index("") if "" in pieces else len(pieces)
                return pieces[:at], [text for text in pieces[at:] if text]
            case "RobertaProcessing" | "BertProcessing":
                return [_content((step.get("cls") or [""])[0])], [_content((step.get("sep") or [""])[0])]
    return [], []


def _added(data: Mapping[str, Any]) -> tuple[str, str]:
    """The first token before and the last one behind a text, "" where there is none: llama.cpp adds no others."""
    before, behind = surroundings(data)
    return next(iter(before), ""), next(reversed(behind), "")


def _special(piece: Any) -> str:
    token = piece.get("SpecialToken") if isinstance(piece, Mapping) else None
    return str(token.get("id", "")) if isinstance(token, Mapping) else ""
