"""A finished run on disk, inside its output folder: `quantgui.json` for people and tools, the tensor reports beside it.

The folder may come from anywhere, so reading takes nothing on trust: sizes are capped while decompressing, and what
does not decode is one clear sentence.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from quantgui import __version__
from quantgui.jobs.codec import from_json, to_json
from quantgui.jobs.events import Evaluation, QuantizeResult
from quantgui.jobs.training_trace import TrainingTrace
from quantgui.types import TensorReport, UserError

RECORD_NAME = "quantgui.json"
REPORTS_NAME = "quantgui-tensors.jsonl.gz"
FILE_SUFFIX = ".gguf"
RECORD_SUFFIX = ".quantgui"
"""Behind the name of an output that is one file: the folder beside it that holds its record."""
MAX_RECORD_BYTES = 16 * 2**20
MAX_REPORTS_BYTES = 512 * 2**20
"""Decompressed; a mixture-of-experts model of 23,000 tensors takes about 230 MB."""
MAX_LINE_BYTES = 4 * 2**20


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class RunRecord:
    """What is kept of a finished run. The result includes the job, so the run can be repeated."""

    result: QuantizeResult
    versions: Mapping[str, str] = field(default_factory=dict)  # libraries that took part: {"torch": "2.13.0"}
    sha256: Mapping[str, str] = field(default_factory=dict)  # hex digest per written file, by its name in the folder
    created: str = field(default_factory=_now)  # ISO 8601, UTC
    quantgui: str = __version__
    training: TrainingTrace | None = None  # how the loss went, where it trained
    quality: Evaluation | None = None  # measured later, against the model it was made from


def write_run(folder: str | Path, record: RunRecord, reports: Iterable[TensorReport]) -> None:
    """Write both files into `folder` and wait until they are on the disk. Raises OSError."""
    folder = Path(folder)
    lines = b"".join(msgspec.json.encode(report) + b"\n" for report in reports)
    _write_synced(folder / REPORTS_NAME, gzip.compress(lines, compresslevel=6, mtime=0))
    _write_synced(folder / RECORD_NAME, _record_bytes(record))


def keep_quality(output: str | Path, evaluation: Evaluation) -> None:
    """Add a measurement to the record of a run, in place of an earlier one. Raises UserError without a record, OSError
    where the disk refuses; the record is then as it was.
    """
    folder = record_folder(output)
    record = replace(read_record(folder), quality=evaluation)
    partial = folder / f"{RECORD_NAME}.partial"
    try:
        _write_synced(partial, _record_bytes(record))
        partial.replace(folder / RECORD_NAME)
    finally:
        partial.unlink(missing_ok=True)


def record_folder(output: str | Path) -> Path:
    """The folder that holds the record of an output: the output itself, or `FILE.gguf.quantgui` beside a file."""
    path = Path(output)
    return path.with_name(path.name + RECORD_SUFFIX) if path.suffix.lower() == FILE_SUFFIX else path


def output_of(folder: str | Path) -> Path:
    """The inverse of `record_folder`: what the record in `folder` is about."""
    path = Path(folder)
    is_beside = path.name.lower().endswith(FILE_SUFFIX + RECORD_SUFFIX)
    return path.with_name(path.name.removesuffix(RECORD_SUFFIX)) if is_beside else path


def read_record(output: str | Path) -> RunRecord:
    """The record of a run's output (or of the folder that holds it); its result's `output` is where that lies now.

    Raises UserError where there is none or it is damaged.
    """
    folder = record_folder(output)
    path = folder / RECORD_NAME
    try:
        with path.open("rb") as file:
            text = file.read(MAX_RECORD_BYTES + 1)
    except OSError as error:
        raise UserError(
            "This folder holds no finished QuantGUI run.",
            hint="Choose a folder that a quantization has written.",
            details=f"{path}: {error}",
        ) from error
    if len(text) > MAX_RECORD_BYTES:
        raise _damaged(path, f"larger than {MAX_RECORD_BYTES} bytes")
    try:
        record = from_json(text, RunRecord)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    return replace(record, result=replace(record.result, output=str(output_of(folder))))


def read_run(output: str | Path) -> tuple[RunRecord, tuple[TensorReport, ...]]:
    """The record of a run's output and its tensor reports. Raises UserError where one of them is damaged."""
    record = read_record(output)
    path = record_folder(output) / REPORTS_NAME
    decoder = msgspec.json.Decoder(TensorReport)
    try:
        reports = tuple(decoder.decode(line) for line in _lines(path))
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    return record, reports


def _lines(path: Path) -> Iterator[bytes]:
    """Decompressed lines, never more of them in memory than the caps allow. Raises ValueError beyond them."""
    total = 0
    with gzip.open(path, "rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            total += len(line)
            if len(line) > MAX_LINE_BYTES or total > MAX_REPORTS_BYTES:
                raise ValueError("it decompresses to more than any run writes")
            yield line


def _record_bytes(record: RunRecord) -> bytes:
    return (to_json(record, indent=2) + "\n").encode()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _damaged(path: Path, details: str) -> UserError:
    return UserError(
        f"The run's {path.name} is damaged.",
        hint="The quantized model itself may be intact; quantize it again to have its statistics back.",
        details=f"{path}: {details}",
    )
