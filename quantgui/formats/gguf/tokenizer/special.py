"""Special tokens, whether they are added to a text, and the chat templates: from the files beside a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from quantgui.checkpoint.regular_file import is_file, read_capped
from quantgui.formats.gguf.tokenizer.files import read_json

NAMES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
MAX_TEMPLATE_BYTES = 4 * 2**20


def special_tokens(
    data: Mapping[str, Any], settings: Mapping[str, Any], config: Mapping[str, Any], ids: Mapping[str, int]
) -> dict[str, int]:
    """Token by name ("bos"), from tokenizer_config.json, else from config.json. `ids` are the tokens' by their text.

    The token that the tokenizer puts behind every text is the end of text also where the settings name another one,
    which then ends a turn.
    """
    named = {name: text for name in NAMES if (text := _content(settings.get(f"{name}_token")))}
    named.setdefault("bos", named.get("cls", ""))
    named.setdefault("eos", named.get("sep", ""))
    last = _added(data)[1]
    if last and named.get("eos") and last != named["eos"]:
        named["eot"], named["eos"] = named["eos"], last
    found = {name: ids[text] for name, text in named.items() if text in ids}
    for name in NAMES:
        stated = config.get(f"{name}_token_id")
        if isinstance(stated, int) and not isinstance(stated, bool) and stated >= 0:
            found.setdefault(name, stated)
    return found


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
    path = folder / "chat_template.jinja"
    if is_file(path):
        found = {"": read_capped(path, MAX_TEMPLATE_BYTES).decode("utf-8", "replace")}
        for more in sorted((folder / "additional_chat_templates").glob("*.jinja")):
            found[more.stem] = read_capped(more, MAX_TEMPLATE_BYTES).decode("utf-8", "replace")
        return found
    stated = settings.get("chat_template") or read_json(folder / "chat_template.json").get("chat_template")
    if isinstance(stated, str):
        return {"": stated}
    if not isinstance(stated, list):
        return {}
    entries = [entry for entry in stated if isinstance(entry, Mapping)]
    named = {str(entry.get("name")): str(entry.get("template", "")) for entry in entries}
    default = named.pop("default", None)
    return ({"": default} if default is not None else {}) | named


def _content(entry: Any) -> str:
    """A token is stated as its text or as an object with its text."""
    content = entry.get("content") if isinstance(entry, Mapping) else entry
    return content if isinstance(content, str) else ""


def _added(data: Mapping[str, Any]) -> tuple[str, str]:
    """Text of the special tokens before and behind a single text, "" where there is none."""
    processor = data.get("post_processor")
    if not isinstance(processor, Mapping):
        return "", ""
    for step in processor.get("processors") or [processor]:
        match step.get("type"):
            case "TemplateProcessing":
                single: Sequence[Any] = step.get("single") or []
                return (_special(single[0]), _special(single[-1])) if len(single) > 1 else ("", "")
            case "RobertaProcessing" | "BertProcessing":
                return _content((step.get("cls") or [""])[0]), _content((step.get("sep") or [""])[0])
    return "", ""


def _special(piece: Any) -> str:
    token = piece.get("SpecialToken") if isinstance(piece, Mapping) else None
    return str(token.get("id", "")) if isinstance(token, Mapping) else ""
