"""What lies beside the weights: the config, the tokenizer, programs that are never run, and the name of it all."""

from __future__ import annotations

from pathlib import Path

from quantgui.checkpoint.config import load_config
from quantgui.checkpoint.hub_cache import repository_of
from quantgui.checkpoint.regular_file import is_file, path_error
from quantgui.types import ModelConfig, UserError

CONFIG = "config.json"
TOKENIZER_FILES = frozenset(
    {
        "tokenizer.json",
        "tokenizer.model",
        "tekken.json",
        "vocab.json",
        "vocab.txt",
        "vocab.bpe",
        "spiece.model",
        "sentencepiece.bpe.model",
    }
)

_NO_CONFIG = "There is no config.json; memory beyond the weights cannot be estimated."


def file_names(folder: Path) -> set[str]:
    """Names in a folder. Raises UserError where it cannot be listed."""
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise path_error(error, folder) from None


def folder_name(folder: Path) -> str:
    """What to call the model in a folder: the repository for a snapshot of the hub's cache, else the folder's name."""
    return repository_of(folder) or folder.name or str(folder)


def folder_config(folder: Path, names: set[str]) -> tuple[ModelConfig | None, tuple[str, ...]]:
    """The folder's config and the notes about it and its companions. Raises UserError for a damaged config.json."""
    config, notes = None, [_NO_CONFIG]
    if CONFIG in names:
        loaded = load_config(folder / CONFIG)
        config, notes = loaded.config, list(loaded.notes)
    if not names & TOKENIZER_FILES:
        notes.append("There are no tokenizer files; quality cannot be measured on text.")
    programs = sorted(name for name in names if name.endswith(".py"))
    if programs:
        notes.append(f"The folder brings program files ({', '.join(programs[:3])}); QuantGUI never runs them.")
    return config, tuple(notes)


def config_beside(file: Path) -> tuple[ModelConfig | None, tuple[str, ...]]:
    """The config.json next to a single file helps where it can; a damaged one is no reason to refuse the file."""
    beside = file.parent / CONFIG
    if not is_file(beside):
        return None, (_NO_CONFIG,)
    try:
        loaded = load_config(beside)
    except UserError as error:
        return None, (f"The config.json beside it was not used. {error}",)
    return loaded.config, loaded.notes
