"""The text that a model is calibrated on, cut into samples: the bundled one, or a text, JSONL or Parquet file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantgui.quality.text import MAX_TEXT_BYTES, bundled_text, read_text, tokenize
from quantgui.types import UserError

if TYPE_CHECKING:
    import torch

BETWEEN = "\n\n"
"""What stands between two documents of a file with several."""
TEXT_FIELDS = ("text", "content", "document", "prompt", "instruction")
"""Where JSONL and Parquet files usually keep their text; the first one that is there is taken."""


def calibration_samples(folder: Path, path: Path | None, samples: int, length: int) -> torch.Tensor:
    """Token ids int64 [at most `samples`, `length`], windows spread evenly over the text without overlap.

    `folder` holds the model's tokenizer; `path` None means the bundled calibration text, which is not the one that
    models are evaluated on. A text that is too short for all samples gives as many as it holds. Raises UserError for
    a model without tokenizer, and for a file that is missing, empty, binary or shorter than one sample.
    """
    import torch

    if samples < 1 or length < 2:
        raise UserError(
            f"{samples} samples of {length} tokens are not enough to calibrate.",
            hint="Take at least one sample of at least two tokens; 128 samples of 512 are usual.",
        )
    file = bundled_text("calibration") if path is None else path
    ids = tokenize(folder, read_documents(file))
    if len(ids) < length:
        raise UserError(
            f"{file.name} has {len(ids):,} tokens, fewer than the {length:,} of one sample.",
            hint="Choose a longer text, or shorter samples.",
        )
    count = min(samples, len(ids) // length)
    starts = torch.linspace(0, len(ids) - length, count, dtype=torch.float64).floor().long()
    return torch.stack([ids[start : start + length] for start in starts.tolist()])


def read_documents(path: Path) -> str:
    """All text of a file; the documents of JSONL (.jsonl, .ndjson) and Parquet files one after another."""
    if path.suffix.lower() == ".parquet":
        return _joined(_parquet_texts(path), path)
    text = read_text(path)
    return _joined(_json_texts(text, path), path) if path.suffix.lower() in (".jsonl", ".ndjson") else text


def _joined(texts: list[str], path: Path) -> str:
    text = BETWEEN.join(part for part in texts if part.strip())
    if not text:
        raise UserError(f"{path.name} holds no text.", hint=f"Its text should be in a field called “{TEXT_FIELDS[0]}”.")
    return text


def _json_texts(text: str, path: Path) -> list[str]:
    """The text of each line: a JSON string, or an object with a text field."""
    texts = []
    for number, line in enumerate(text.split("\n"), 1):  # JSON may hold what splitlines takes for a line break
        if not line.strip():
            continue
        try:
            texts.append(_text_of(json.loads(line)))
        except (ValueError, RecursionError):
            raise UserError(
                f"Line {number:,} of {path.name} is not JSON.", hint="A JSONL file holds one JSON object per line."
            ) from None
    return texts


def _text_of(value: Any) -> str:
    """The text of a JSON value, "" where it has none; half a surrogate pair becomes a question mark."""
    if isinstance(value, dict):
        value = next((value[field] for field in TEXT_FIELDS if isinstance(value.get(field), str)), "")
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _parquet_texts(path: Path) -> list[str]:
    """The text column of a Parquet file. Needs pyarrow, which the extra `parquet` installs."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "Reading Parquet files needs the library pyarrow.",
            hint="“pip install quantgui[parquet]” adds it. A text or JSONL file works without.",
        ) from None
    if not path.is_file():
        raise UserError(f"There is no file at {path}.", hint="Give the path of a text, JSONL or Parquet file.")
    try:
        with parquet.ParquetFile(path) as file:
            names = {field.name for field in file.schema_arrow if _is_text(field.type)}
            column = next((field for field in TEXT_FIELDS if field in names), None)
            if column is None:
                raise UserError(
                    f"{path.name} has no column of text called {' or '.join(TEXT_FIELDS)}.",
                    hint="Rename the column that holds the text.",
                )
            return list(_first_rows(file, column))
    except (OSError, ValueError, pyarrow.ArrowException) as error:  # ValueError: text that is not UTF-8
        raise UserError(
            f"{path.name} cannot be read as a Parquet file.", hint="Choose another file.", details=str(error)
        ) from error


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def _first_rows(file: Any, column: str) -> Iterator[str]:
    """Texts from the beginning, as much as a text file may hold: the corpora of models fill many gigabytes."""
    left = MAX_TEXT_BYTES
    for batch in file.iter_batches(batch_size=1024, columns=[column]):
        for text in batch[column].to_pylist():
            yield text or ""
            left -= len(text or "")
        if left <= 0:
            return
