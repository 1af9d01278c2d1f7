"""Everything that can be known before the start: what would stop the run, and what a person should know."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

from quantgui import units
from quantgui.checkpoint.tensor_data import READABLE_DTYPES
from quantgui.formats.registry import formats_of, mix_objection
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RECORD_NAME, REPORTS_NAME, read_record
from quantgui.pipeline.source import source_folder
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import Recipe
from quantgui.types import GIB, Checkpoint, SourceKind, UserError

REGENERATED = ("report.html", ".DS_Store", "Thumbs.db", "desktop.ini")
"""What this program or a file manager leaves in a run's folder and anybody can have again."""
COMPANION_ALLOWANCE = 64 * 2**20
"""Room kept free beside the weights: tokenizer, card, statistics."""


def check(
    job: QuantizeJob, checkpoint: Checkpoint, assignments: Sequence[Assignment], file_bytes: int
) -> tuple[str, ...]:
    """Raises UserError for anything that would stop the run later; returns warnings, one sentence each. `file_bytes`
    is the size of all weight files.
    """
    _check_source(checkpoint, assignments)
    _check_target(job, checkpoint)
    _check_disk(job, file_bytes)
    _check_memory(checkpoint)
    return kept_warnings(assignments) + unmatched_rules(job.recipe, checkpoint)


def unmatched_rules(recipe: Recipe, checkpoint: Checkpoint) -> tuple[str, ...]:
    """One sentence per rule that matches no tensor: most likely a slip of the pen."""
    return tuple(
        f"No tensor's name matches the rule {rule.pattern}, so it changes nothing."
        for rule in recipe.rules
        if not any(rule.matches(tensor) for tensor in checkpoint.tensors)
    )


def kept_warnings(assignments: Sequence[Assignment]) -> tuple[str, ...]:
    """One sentence per reason for which a scheme that was asked for cannot hold some tensors."""
    reasons = Counter(a.why for a in assignments if a.scheme is None and " cannot hold it: " in a.why)
    warnings = []
    for why, count in reasons.items():
        scheme, _, reason = why.partition(" cannot hold it: ")
        tensors = "1 tensor stays as it is" if count == 1 else f"{count:,} tensors stay as they are"
        warnings.append(f"{tensors} instead of {scheme}: {reason}")
    return tuple(warnings)


def check_original(checkpoint: Checkpoint, *, may_be_packed: bool = False) -> None:
    """Raises UserError for a model whose weights are not here, cannot be read, or are quantized already.

    `may_be_packed` says that the format to be written reads the blocks of the one they are packed in.
    """
    if checkpoint.kind is SourceKind.CONFIG:
        raise UserError(
            f"“{checkpoint.name}” has no weights on this machine, only its shapes are known.",
            hint="Download the model and open its folder.",
        )
    if checkpoint.config is not None and checkpoint.config.quantization and not may_be_packed:
        raise UserError(
            f"“{checkpoint.name}” is already quantized ({checkpoint.config.quantization}).",
            hint="Start from the original 16-bit or 32-bit checkpoint.",
        )
    unreadable = sorted({t.dtype for t in checkpoint.tensors} - READABLE_DTYPES)
    if unreadable and checkpoint.kind is not SourceKind.TORCH:
        raise UserError(
            f"“{checkpoint.name}” has tensors of type {', '.join(unreadable)}, which cannot be read yet.",
            hint="Start from the original 16-bit or 32-bit checkpoint.",
        )


def _check_source(checkpoint: Checkpoint, assignments: Sequence[Assignment]) -> None:
    if checkpoint.kind is SourceKind.GGUF:
        raise UserError(
            "A GGUF file becomes another GGUF file only.",
            hint="Choose a GGUF type, or open the Hugging Face folder of the model.",
        )
    check_original(checkpoint)
    if not any(a.scheme for a in assignments):
        reasons = kept_warnings(assignments)
        raise UserError(
            f"This recipe changes nothing in “{checkpoint.name}”.",
            hint=reasons[0] if reasons else "Choose a precision, or remove the rules that keep everything.",
            details="\n".join(f"{a.tensor.name}: {a.why}" for a in assignments),
        )
    if objection := mix_objection(assignments):
        raise UserError(
            f"The result could not be loaded: {objection}.",
            hint="Give all rules schemes of one format, and all experts one scheme that the format holds.",
        )
    if formats_of(assignments) and checkpoint.config is None:
        raise UserError(
            "Without a config.json nothing could load the quantized weights.",
            hint="Put the model's config.json beside the file, or choose FP32, FP16 or BF16.",
        )


def _check_target(job: QuantizeJob, checkpoint: Checkpoint) -> None:
    output = Path(job.target)
    source = source_folder(checkpoint).resolve()
    if output == source:
        raise UserError("The output folder is the model's own folder.", hint="Choose another output folder.")
    if source.is_relative_to(output):
        raise UserError("The model lies inside the output folder.", hint="Choose another output folder.")
    if output.is_file():
        raise UserError(f"{output} is a file, not a folder.", hint="Choose another output folder.")
    parent = existing_parent(output)
    if not os.access(parent, os.W_OK):
        raise UserError(f"Nothing can be written in {parent}.", hint="Choose a folder that you may write to.")
    if output.is_dir() and any(output.iterdir()):
        _check_replaced(output, job.overwrite)


def _check_replaced(output: Path, overwrite: bool) -> None:
    """Only a run is ever replaced, and only if nothing else would be lost with it."""
    ours = (output / RECORD_NAME).is_file()
    if not (overwrite and ours):
        raise UserError(
            f"The folder {output.name} already exists and is not empty.",
            hint="Allow overwriting, or choose another output folder."
            if ours
            else "It holds no QuantGUI run, so it is never overwritten. Choose another output folder.",
        )
    written = {*read_record(output).sha256, RECORD_NAME, REPORTS_NAME, *REGENERATED}
    foreign = sorted(entry.name for entry in output.iterdir() if entry.name not in written)
    if foreign:
        raise UserError(
            f"The folder {output.name} holds more than the run: {', '.join(foreign[:3])}.",
            hint="Move your own files out of it, or choose another output folder.",
            details="\n".join(foreign),
        )


def existing_parent(path: Path) -> Path:
    """The nearest folder above `path` that exists."""
    parent = path.resolve().parent
    while not parent.exists():
        parent = parent.parent
    return parent


def _check_disk(job: QuantizeJob, file_bytes: int) -> None:
    needed = file_bytes + COMPANION_ALLOWANCE
    free = shutil.disk_usage(existing_parent(Path(job.output))).free
    if needed > free:
        raise UserError(
            f"The disk has {units.file_size(free)} free, and this needs {units.file_size(needed)}.",
            hint="Free some space, or choose an output folder on another disk.",
        )


def _check_memory(checkpoint: Checkpoint) -> None:
    if checkpoint.kind is not SourceKind.TORCH:
        return  # safetensors stream from mapped files
    available = psutil.virtual_memory().available
    if checkpoint.nbytes > available:
        raise UserError(
            f"Reading this PyTorch file takes up to {checkpoint.nbytes / GIB:.1f} GiB of memory, "
            f"and {available / GIB:.1f} GiB are available.",
            hint="Close other programs, or convert the model to safetensors, which streams.",
        )
