"""Starts the reload check in a process of its own, as a user of the files would meet them, and passes its words on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from quantgui.jobs.child import ChildProcess
from quantgui.jobs.events import Failed, Finished, Log, Stage, Verification, VerificationStatus
from quantgui.jobs.job import QuantizeJob, VerifyJob
from quantgui.pipeline import Emit
from quantgui.types import Checkpoint, TensorReport, UserError


def verify(
    job: QuantizeJob, checkpoint: Checkpoint, reports: Sequence[TensorReport], emit: Emit, written: Path | None = None
) -> Verification:
    """The verdict of the reload check on the job's partial output, or on the file `written` in it.

    Raises UserError where it failed.
    """
    if not job.verify:
        return Verification(VerificationStatus.NOT_VERIFIED, "Not verified: the check was switched off.")
    if checkpoint.config is None:
        return Verification(VerificationStatus.NOT_VERIFIED, "Not verified: without a config.json nothing can load it.")
    program = "transformers" if written is None else "llama.cpp"
    emit(Stage("Checking in a new process", f"{program} loads the result, and every weight is compared."))
    outcome = None
    output = job.partial_output if written is None else str(written)
    errors = {report.name: report.error for report in reports if report.error is not None}
    for event in ChildProcess(VerifyJob(output, job.source, job.recipe, errors)).events():
        if isinstance(event, Stage | Log):
            emit(event)
        outcome = event
    if isinstance(outcome, Failed):
        raise UserError(
            f"The written checkpoint could not be loaded back: {outcome.message}",
            hint="Nothing was kept. Please report this with the details.",
            details=outcome.details,
        )
    assert isinstance(outcome, Finished)
    assert outcome.verification is not None
    if outcome.verification.status is VerificationStatus.FAILED:
        raise UserError(
            outcome.verification.summary,
            hint="Nothing was kept. Please report this with the details.",
            details=outcome.verification.details,
        )
    return outcome.verification
