"""The tokenizer of a Hugging Face folder as a GGUF file holds it. No code of the model is run, no pickle is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantgui.formats.gguf.tokenizer.algorithms import vocabulary_of
from quantgui.formats.gguf.tokenizer.differences import check_bytes, differences
from quantgui.formats.gguf.tokenizer.files import (
    sentence_piece_file,
    tokenizer_files,
    tokenizer_json,
    tokenizer_settings,
)
from quantgui.formats.gguf.tokenizer.sentence_piece import read_sentence_piece
from quantgui.formats.gguf.tokenizer.special import added_tokens, chat_templates, special_tokens, with_stated_ends
from quantgui.formats.gguf.tokenizer.vocabulary import Vocabulary, padded_to, vocabulary_keys
from quantgui.types import UserError

__all__ = ["Vocabulary", "read_vocabulary", "tokenizer_files", "vocabulary_keys"]

_ODD = (AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What reading a file that is no tokenizer.json (or an odd one) may raise."""


def read_vocabulary(folder: Path, config: Mapping[str, Any], rows: int) -> Vocabulary:
    """The tokenizer in `folder` with as many tokens as the embedding has rows; `config` is the content of config.json.

    Raises UserError where there is none, where it is damaged, and for algorithms that llama.cpp does not have.
    """
    settings = tokenizer_settings(folder)
    try:
        data = tokenizer_json(folder)
        vocabulary = vocabulary_of(data, settings) if data else None
        if vocabulary is not None:
            vocabulary = replace(vocabulary, warnings=differences(data, vocabulary, folder.name))
        adds = added_tokens(data, settings)
    except _ODD as error:
        raise UserError(
            "The tokenizer's files are damaged or of an unknown kind.",
            hint="Download them again.",
            details=f"{type(error).__name__}: {error}",
        ) from error
    if vocabulary is None:
        path = sentence_piece_file(folder)
        if path is None:
            raise UserError(
                "There are no tokenizer files beside the model, and a GGUF file needs them.",
                hint="Download the model's tokenizer.json into its folder.",
            )
        vocabulary = read_sentence_piece(path)
        adds = added_tokens({}, {"add_bos_token": vocabulary.model == "llama", **settings})
    check_bytes(vocabulary)
    ids = {token.text: index for index, token in enumerate(vocabulary.tokens)}
    special = {**vocabulary.special, **special_tokens(data, settings, config, ids)}
    templates = chat_templates(folder, settings)
    return with_stated_ends(padded_to(replace(vocabulary, special=special, adds=adds, templates=templates), rows))
