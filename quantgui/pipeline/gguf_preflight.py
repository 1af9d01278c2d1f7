"""What would stop the writing of a GGUF file, and what a person should know before it starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from quantgui import units
from quantgui.checkpoint.gguf_checkpoint import check_is_model
from quantgui.formats.gguf.file_types import FileType
from quantgui.formats.gguf.imatrix import ImportanceMatrix
from quantgui.formats.gguf.packed_blocks import holds_blocks
from quantgui.formats.gguf.plan import GgufPlan
from quantgui.jobs.job import QuantizeJob
from quantgui.jobs.run_record import RECORD_NAME, record_folder
from quantgui.pipeline.gguf_importance import check_importance
from quantgui.pipeline.preflight import COMPANION_ALLOWANCE, check_original, existing_parent
from quantgui.quant.gguf_assignment import asks_for_imatrix, gguf_order
from quantgui.quant.registry import settings
from quantgui.schemes.assignment import Assignment
from quantgui.types import Checkpoint, SourceKind, UserError

SUFFIX = ".gguf"
TOKENIZER = "tokenizer.ggml.model"
"""The key that llama.cpp asks first of a vocabulary; "none" says that there is none."""


def check_gguf(
    job: QuantizeJob,
    checkpoint: Checkpoint,
    plan: GgufPlan,
    assignments: Sequence[Assignment],
    matrix: ImportanceMatrix | None,
) -> tuple[str, ...]:
    """Raises UserError for anything that would stop the run later; returns warnings, one sentence each."""
    _check_kernels(plan)
    if plan.needs_imatrix and matrix is None:
        raise _needs_matrix(plan.file_type)
    check_target(job, checkpoint)
    _check_disk(job, plan.file.nbytes)
    missing = check_importance(plan, matrix) if matrix is not None else ()
    return (*_compared_with(checkpoint), *plan.warnings, *missing, *_idle_rules(job, assignments))


def check_early(job: QuantizeJob, checkpoint: Checkpoint, assignments: Sequence[Assignment]) -> tuple[str, ...]:
    """What `check_gguf` will say, as far as a form can ask per keystroke: it reads no tokenizer, no matrix."""
    check_source(job, checkpoint)
    order = gguf_order(checkpoint, job.recipe, settings(job.recipe.base))
    if not order.imatrix and asks_for_imatrix(job.recipe, assignments):
        raise _needs_matrix(order.file_type)
    check_target(job, checkpoint)
    _check_disk(job, sum(a.nbytes for a in assignments))
    return _idle_rules(job, assignments)


def check_source(job: QuantizeJob, checkpoint: Checkpoint) -> None:
    """Raises UserError for a model without weights here, for a file that llama.cpp would not run as a model, and for
    one that is quantized unless that is wanted.
    """
    if checkpoint.kind is not SourceKind.GGUF:
        check_original(checkpoint, may_be_packed=holds_blocks(checkpoint))
        return
    check_is_model(checkpoint)
    if checkpoint.config is not None and TOKENIZER not in checkpoint.config.raw:
        raise UserError(
            f"“{checkpoint.name}” holds no tokenizer, and llama.cpp loads no model without one.",
            hint="Start from the model's folder, or from a GGUF file that was made with its tokenizer.",
        )
    if (again := rounds_again(checkpoint)) and not job.allow_requantize:
        raise UserError(again, hint="Start from the F16, BF16 or F32 file, or allow it with --allow-requantize.")


def rounds_again(checkpoint: Checkpoint) -> str:
    """What to know before a GGUF file that is quantized is quantized again; "" for every other source."""
    if checkpoint.kind is not SourceKind.GGUF or checkpoint.config is None or not checkpoint.config.quantization:
        return ""
    return f"“{checkpoint.name}” is already quantized; rounding it a second time adds to the loss."


def _compared_with(checkpoint: Checkpoint) -> tuple[str, ...]:
    """What the errors of a file that was rounded twice leave out."""
    if not rounds_again(checkpoint):
        return ()
    return (f"Errors are measured against “{checkpoint.name}”, which was quantized already, not against its original.",)


def check_target(job: QuantizeJob, checkpoint: Checkpoint) -> None:
    """Raises UserError where the file cannot be written, or would replace what is no run of ours."""
    target = Path(job.target)
    if target.suffix.lower() != SUFFIX:
        raise UserError(f"{target.name} does not end in {SUFFIX}.", hint=f"Name the file, for example model{SUFFIX}.")
    if target.is_dir():
        raise UserError(f"{target} is a folder, not a file.", hint="Choose another name.")
    if target == Path(checkpoint.path).resolve():
        raise UserError("The output is the model's own file.", hint="Choose another name.")
    if not os.access(existing_parent(target), os.W_OK):
        raise UserError(f"Nothing can be written in {existing_parent(target)}.", hint="Choose another folder.")
    if not target.exists():
        return
    ours = (record_folder(target) / RECORD_NAME).is_file()
    if not (job.overwrite and ours):
        raise UserError(
            f"The file {target.name} already exists.",
            hint="Allow overwriting, or choose another name."
            if ours
            else "QuantGUI has not written it, so it is never overwritten. Choose another name.",
        )


def _needs_matrix(file_type: FileType) -> UserError:
    return UserError(
        f"{file_type.name} needs an importance matrix: without one its few bits go to the wrong weights.",
        hint="Compute one (on the command line with “quantgui imatrix”), or choose a type of more bits.",
    )


def _idle_rules(job: QuantizeJob, assignments: Sequence[Assignment]) -> tuple[str, ...]:
    """One sentence per rule that matches no tensor, or gives a type only to tensors that are left alone."""
    sentences = []
    for rule in job.recipe.rules:
        matched = [assignment for assignment in assignments if rule.matches(assignment.tensor)]
        if not matched:
            nothing = f"No tensor's name matches the rule {rule.pattern}, so it changes nothing."
            sentences.append(f"{nothing} {_example(assignments)}".strip())
        elif rule.scheme is not None and all(assignment.why for assignment in matched):
            sentences.append(
                f"The rule {rule.pattern} matches only tensors that are left as they are, so it changes nothing."
            )
    return tuple(sentences)


def _example(assignments: Sequence[Assignment]) -> str:
    """What names look like: whoever writes a rule may know those of the model's folder only."""
    inside = next((a.tensor.name for a in assignments if a.tensor.layer is not None and not a.why), "")
    return f"Names in a GGUF file look like {inside}." if inside else ""


def _check_disk(job: QuantizeJob, nbytes: int) -> None:
    needed = nbytes + COMPANION_ALLOWANCE
    free = shutil.disk_usage(existing_parent(Path(job.target))).free
    if needed > free:
        raise UserError(
            f"The disk has {units.file_size(free)} free, and this needs {units.file_size(needed)}.",
            hint="Free some space, or choose a folder on another disk.",
        )


def _check_kernels(plan: GgufPlan) -> None:
    """Without ggml's library some types cannot be written."""
    from quantgui.formats.gguf.kernels import missing_kernels

    missing = missing_kernels(plan.types)
    if missing:
        raise UserError(
            f"{' and '.join(missing)} need the library xllamacpp, which is not installed.",
            hint="Install it with: pip install xllamacpp. Q8_0 and Q4_0 work without it.",
        )
