"""Mistral's own tokenizer file, tekken.json, as the tokenizer.json that says the same.

It lists byte sequences by rank: of neighbours in a text, those whose bytes together have the lowest rank become one
token first. Which two parts each token is made of follows from the ranks, and is what a tokenizer.json calls a merge.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

FILE = "tekken.json"
SETTINGS: Mapping[str, Any] = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "add_bos_token": True,
    "add_eos_token": False,
}
"""What tokenizer_config.json says beside Mistral's models, for folders without one."""
MAX_TOKEN_BYTES = 4096
"""No token is longer; taking a longer one apart would only cost time."""

_SPECIAL = (
    *("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]"),
    *("[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]"),
    *("[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
)
"""The special tokens of the first versions of the file, which do not list them."""
_PRINTABLE = (*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1))


def tekken_as_tokenizer_json(data: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a tokenizer.json. Raises LookupError, TypeError or ValueError for a damaged file."""
    config = data["config"]
    reserved = int(config["default_num_special_tokens"])
    special = _special_tokens(data, reserved)
    count = int(config["default_vocab_size"]) - reserved
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in data["vocab"][: max(count, 0)]}
    if sorted(ranks.values()) != list(range(len(ranks))) or max(map(len, ranks), default=0) > MAX_TOKEN_BYTES:
        raise ValueError("ranks that are not counted from zero, or a token of impossible length")
    return {
        "model": {
            "type": "BPE",
            "vocab": {byte_text(token): reserved + rank for token, rank in ranks.items()},
            "merges": [tuple(map(byte_text, parts)) for parts in _merges(ranks)],
            "ignore_merges": True,
        },
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": config["pattern"]}},
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        },
        "added_tokens": [{"id": index, "content": text, "special": True} for index, text in enumerate(special)],
    }


def byte_text(token: bytes) -> str:
    """Bytes as byte-level vocabularies write them: a printable character for each, as GPT-2 chose them."""
    return token.decode("latin-1").translate(_CHARACTERS)


def _special_tokens(data: Mapping[str, Any], reserved: int) -> list[str]:
    """The texts of all reserved ids; those without a name are `<SPECIAL_7>`."""
    listed = data.get("special_tokens")
    named = dict(enumerate(_SPECIAL)) if listed is None else {entry["rank"]: entry["token_str"] for entry in listed}
    if not len(named) <= reserved <= 2**20 or any(not 0 <= rank < reserved for rank in named):
        raise ValueError(f"{len(named)} special tokens in {reserved} places")
    return [named.get(index, f"<SPECIAL_{index}>") for index in range(reserved)]


def _merges(ranks: Mapping[bytes, int]) -> list[Sequence[bytes]]:
    """The two parts of every token that is more than one byte, in the order of the tokens."""
    ordered = sorted(ranks, key=ranks.__getitem__)
    taken_apart = (_last_parts(token, ranks) for token in ordered if len(token) > 1)
    return [parts for parts in taken_apart if len(parts) == 2]


def _last_parts(token: bytes, ranks: Mapping[bytes, int]) -> Sequence[bytes]:
    """What merging by rank has made of a token's bytes just before the token itself; more than two parts where it is
    never made."""
    cuts = [at for at in range(1, len(token)) if token[:at] in ranks and token[at:] in ranks]
    if len(cuts) == 1:
        return token[: cuts[0]], token[cuts[0] :]
    parts = [token[at : at + 1] for at in range(len(token))]
    limit = ranks[token]
    while len(parts) > 2:
        joined = [ranks.get(left + right, limit) for left, right in pairwise(parts)]
        best = min(joined)
        if best >= limit:
            break
        at = joined.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _characters() -> dict[int, int]:
    others = (byte for byte in range(256) if byte not in _PRINTABLE)
    return {byte: 256 + index for index, byte in enumerate(others)}


_CHARACTERS = _characters()
