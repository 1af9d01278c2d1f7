"""The reload check, in its own process: transformers loads the folder, and every weight is compared with ours.

Ours means: our own unpacking of the stored parts and our own dequantization. A difference beyond the rounding of the
storage dtype, a missing, unexpected or mismatched key beyond what the source itself reports, or a forward pass that is
not finite fails the check.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from quantgui.checkpoint import open_checkpoint
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.format import Format
from quantgui.formats.registry import formats_of
from quantgui.jobs.events import Stage, Verification, VerificationStatus
from quantgui.jobs.job import VerifyJob
from quantgui.pipeline import Emit
from quantgui.pipeline.library_model import KeyProblems, beyond_the_source, keys_on_meta, load_dense, run_forward
from quantgui.pipeline.source import open_source, source_folder
from quantgui.quant.assignment import assign
from quantgui.quant.registry import arithmetic
from quantgui.schemes.assignment import Assignment
from quantgui.types import Checkpoint, SourceKind

if TYPE_CHECKING:
    import torch

ROUNDINGS = 4
"""Tolerance in units of the storage dtype's epsilon, relative to the tensor's largest weight: the library multiplies
code and scale in that dtype, which rounds up to twice."""


@dataclass
class Comparison:
    """What has been compared so far."""

    compared: int = 0
    not_found: tuple[str, ...] = ()
    worst: float = 0.0
    worst_tensor: str = ""
    failures: tuple[str, ...] = ()

    def add(self, name: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
        """Compares one weight; both have the same shape."""
        import torch

        self.compared += 1
        limit = float(ours.abs().max()) if ours.numel() else 0.0
        difference = float((ours.float() - theirs.float()).abs().max()) if ours.numel() else 0.0
        relative = difference / limit if limit else difference
        if relative >= self.worst:
            self.worst, self.worst_tensor = relative, name
        if not relative <= ROUNDINGS * torch.finfo(theirs.dtype).eps:
            self.failures += (f"{name}: {relative:.3g} of its largest weight",)


def dequantized_weights(output: Checkpoint, assignments: tuple[Assignment, ...]) -> Iterator[tuple[str, torch.Tensor]]:
    """(source name, float32 weight) of every floating tensor of `output`, unpacked by our own code, one at a time."""
    stored = {t.name: t for t in output.tensors}
    with TensorData(output) as data:
        for assignment in assignments:
            info, scheme = assignment.tensor, assignment.scheme
            parts = {p.suffix: data.tensor(stored[p.name_for(info.name)]) for p in assignment.parts()}
            if scheme is None:
                tensor = parts[""]
                if tensor.is_floating_point():
                    yield info.name, tensor.float()
            else:
                weight = arithmetic(scheme).dequantize(scheme.storage.decode(scheme, parts, info.shape))
                yield info.name, weight.view(info.shape)


def reload_and_compare(job: VerifyJob, emit: Emit) -> Verification:
    """The verdict on `job.output`. Raises what the library raises when it cannot load the folder."""
    source, output = open_source(job.source), open_checkpoint(job.output)
    assignments = assign(source, job.recipe)
    format_ = next(iter(formats_of(assignments)), None)
    needed = ["transformers", *([format_.library] if format_ is not None and format_.library else [])]
    library, missing = _library_versions(needed)
    if missing:
        return Verification(
            VerificationStatus.NOT_VERIFIED,
            f"Not verified: the library {missing} is missing. “pip install {missing}” adds it.",
        )
    # A pickled source is not loaded by the library: its keys are compared with an empty baseline.
    baseline = source_folder(source) if source.kind in (SourceKind.FOLDER, SourceKind.SAFETENSORS) else None
    full = _fits_memory(source)
    emit(Stage("Checking in a new process", "Comparing every weight" if full else "Comparing shard by shard"))
    comparison = Comparison()
    if full:
        model, reported = load_dense(Path(job.output), format_)
        finite = run_forward(model)
        if not (problems := beyond_the_source(reported, baseline)):
            _compare_with_model(comparison, model, output, assignments)
    else:
        meta = format_ is None or format_.loads_on_meta
        problems = beyond_the_source(keys_on_meta(Path(job.output)), baseline) if meta else KeyProblems()
        finite = True
        if not problems:
            _compare_by_tensor(comparison, output, assignments, format_)
    return _failed(problems, library) if problems else _verdict(comparison, library, full, finite)


def _library_versions(names: list[str]) -> tuple[str, str]:
    """ "transformers 5.22.0, bitsandbytes 0.50.2", and the first name that is not installed."""
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            return ", ".join(versions), name
    return ", ".join(versions), ""


def _fits_memory(source: Checkpoint) -> bool:
    """Whether a full reload, which holds packed and dequantized weights at once, fits the free memory."""
    return 2 * source.nbytes < psutil.virtual_memory().available


def _compare_with_model(
    comparison: Comparison, model: Any, output: Checkpoint, assignments: tuple[Assignment, ...]
) -> None:
    """Compares every weight with the model's, whose names may carry the base model's prefix or lack it."""
    state = model.state_dict()
    prefix = f"{model.base_model_prefix}."
    for name, ours in dequantized_weights(output, assignments):
        candidates = (name, prefix + name, name.removeprefix(prefix))
        theirs = next((state[c] for c in candidates if c in state), None)
        if theirs is None or theirs.shape != ours.shape or not theirs.is_floating_point():
            comparison.not_found += (name,)
        else:
            comparison.add(name, ours, theirs)


def _compare_by_tensor(
    comparison: Comparison, output: Checkpoint, assignments: tuple[Assignment, ...], format_: Format | None
) -> None:
    """Without room for the whole model: the library dequantizes one layer at a time."""
    stored = {t.name: t for t in output.tensors}
    by_name = {a.tensor.name: a for a in assignments}
    with TensorData(output) as data:
        for name, ours in dequantized_weights(output, assignments):
            assignment = by_name[name]
            parts = {p.suffix: data.tensor(stored[p.name_for(name)]) for p in assignment.parts()}
            scheme = assignment.scheme
            quantized = scheme is not None and format_ is not None and scheme.storage.format == format_.id
            theirs = format_.dense_layer(scheme, parts) if quantized else parts[""]
            comparison.add(name, ours, theirs)


def _failed(problems: KeyProblems, library: str) -> Verification:
    return Verification(
        VerificationStatus.FAILED,
        f"The reload check failed: transformers reports {problems.summary}.",
        library,
        details=problems.details,
    )


def _verdict(comparison: Comparison, library: str, full: bool, finite: bool) -> Verification:
    failures = comparison.failures
    if not finite:
        failures += ("a forward pass gave values that are not finite",)
    if comparison.compared == 0:
        failures += ("no weight of the reloaded model could be matched by its name",)
    if failures:
        status, summary = VerificationStatus.FAILED, f"The reload check failed: {failures[0]}."
    else:
        how = "loaded the result in a new process" if full else "was given the result layer by layer"
        status = VerificationStatus.VERIFIED
        summary = f"transformers {how}, and all {comparison.compared:,} weights compared equal ours within rounding."
        if comparison.not_found:
            summary += f" {len(comparison.not_found)} are stored under other names there and were not compared."
    return Verification(
        status,
        summary,
        library,
        comparison.compared,
        comparison.worst,
        comparison.worst_tensor,
        details="\n".join((*failures, *(f"not compared: {name}" for name in comparison.not_found))),
    )
