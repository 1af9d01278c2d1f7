"""The one place where the rooms below meet: a job goes in, events come out. Runs in the child process."""

from __future__ import annotations

from collections.abc import Callable

from quantgui.jobs.events import Event, Finished
from quantgui.jobs.job import (
    EvaluateJob,
    ExportJob,
    GenerateJob,
    HandOverJob,
    ImatrixJob,
    InspectJob,
    Job,
    QuantizeJob,
    ReadJob,
    VerifyJob,
    VerifyOnnxJob,
)
from quantgui.quant.assignment import is_gguf

Emit = Callable[[Event], None]


def run(job: Job, emit: Emit) -> None:
    """Does the job and emits its events, Finished last. Raises UserError (or anything else) where it fails.

    There is no stop flag: cancelling kills this process, and the parent removes the partial output.
    """
    match job:
        case QuantizeJob() if is_gguf(job.recipe):
            from quantgui.pipeline.convert_gguf import convert

            emit(Finished(quantized=convert(job, emit)))
        case QuantizeJob():
            from quantgui.pipeline.quantize import quantize

            emit(Finished(quantized=quantize(job, emit)))
        case InspectJob():
            from quantgui.pipeline.inspect import inspect

            inspect(job, emit)
            emit(Finished())
        case ReadJob():
            from quantgui.pipeline.source import open_source

            emit(Finished(checkpoint=open_source(job.source)))
        case EvaluateJob():
            from quantgui.pipeline.evaluate import evaluate

            emit(Finished(evaluation=evaluate(job, emit)))
        case VerifyJob() if is_gguf(job.recipe):
            from quantgui.pipeline.verify_gguf import verify_gguf

            emit(Finished(verification=verify_gguf(job, emit)))
        case VerifyJob():
            from quantgui.pipeline.reload import reload_and_compare

            emit(Finished(verification=reload_and_compare(job, emit)))
        case _:
            _run_beside(job, emit)


def _run_beside(job: Job, emit: Emit) -> None:
    """What is done with a model besides quantizing, inspecting and measuring it."""
    match job:
        case ImatrixJob():
            from quantgui.pipeline.imatrix import compute_imatrix

            emit(Finished(imatrix=compute_imatrix(job, emit)))
        case GenerateJob():
            from quantgui.pipeline.generate import generate

            emit(Finished(generation=generate(job, emit)))
        case ExportJob():
            from quantgui.pipeline.export_onnx import export_onnx

            emit(Finished(exported=export_onnx(job, emit)))
        case VerifyOnnxJob():
            from quantgui.pipeline.onnx_check import check_onnx

            emit(Finished(verification=check_onnx(job, emit)))
        case HandOverJob():
            from quantgui.pipeline.hand_over import hand_over

            emit(Finished(handed_over=hand_over(job, emit)))
