"""The text a model is evaluated or calibrated on: read as UTF-8, tokenized by the model's own tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantgui.resource_files import resource
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

MAX_TEXT_BYTES = 64 * 2**20
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer_config.json",
)


def bundled_text(name: str) -> Path:
    """The path of a bundled text: "evaluation", "calibration" or "training"."""
    return resource("text", f"{name}.txt")


def read_text(path: Path) -> str:
    """The text of a file. Raises UserError where it is missing, empty, too large or not UTF-8 text."""
    try:
        if not path.is_file():
            raise UserError(f"There is no text file at {path}.", hint="Give the path of a UTF-8 text file.")
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise UserError(f"{path.name} is larger than 64 MiB.", hint="A few hundred kilobytes are enough.")
        text = path.read_bytes().decode("utf-8-sig")  # some editors begin with a mark of the byte order
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise UserError(f"{path.name} is not UTF-8 text.", hint="Save it as UTF-8, or choose another file.") from None
    if "\x00" in text:
        raise UserError(f"{path.name} looks like a binary file, not text.", hint="Choose a UTF-8 text file.")
    if not text.strip():
        raise UserError(f"{path.name} is empty.", hint="Choose a file with some text in it.")
    return text


def tokenize(folder: Path, text: str) -> torch.Tensor:
    """Token ids int64 [n] of `text`, without special tokens. Raises UserError where the folder has no tokenizer."""
    import torch

    tokenizer = load_tokenizer(folder)
    try:
        ids = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unusable(error) from error
    return torch.tensor(ids, dtype=torch.int64)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a model folder. Raises UserError where there is none, or none that transformers can load."""
    from transformers import AutoTokenizer

    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise UserError(
            "The model has no tokenizer, so text cannot be turned into its tokens.",
            hint="Copy the tokenizer files of the original model into the folder.",
        )
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except MemoryError:
        raise
    except Exception as error:  # transformers and tokenizers raise a dozen kinds for damaged files
        raise _unusable(error) from error


def _unusable(error: Exception) -> UserError:
    return UserError(
        "The model's tokenizer cannot be loaded.",
        hint="Copy the tokenizer files of the original model into the folder again.",
        details=f"{type(error).__name__}: {error}",
    )
