"""The reload check, in its own process: transformers loads the folder, and every weight is compared with ours.

Ours means: our own unpacking of the stored parts and our own dequantization. A difference beyond one rounding of the
storage dtype, an error against the source that is not the one counted while quantizing, a missing, unexpected or
mismatched key beyond what the source itself reports, or a forward pass that is not finite fails the check.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping
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
from quantgui.pipeline.comparison import Comparison, compare_logits
from quantgui.pipeline.library_model import (
    KeyProblems,
    beyond_the_source,
    can_load,
    keys_on_meta,
    load_dense,
    run_forward,
)
from quantgui.pipeline.simulation import load_simulation
from quantgui.pipeline.source import open_source, source_folder
from quantgui.quant.assignment import assign
from quantgui.quant.calibrated import Fold
from quantgui.quant.registry import arithmetic
from quantgui.schemes.assignment import Assignment
from quantgui.types import Checkpoint, ErrorStats, SourceKind

if TYPE_CHECKING:
    import torch


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
    """The verdict on `job.output`. Raises what the library raises when it cannot load the folder but can its source."""
    source, output = open_source(job.source), open_checkpoint(job.output)
    assignments = assign(source, job.recipe)
    format_ = next(iter(formats_of(assignments)), None)
    library, missing = _library_versions(["transformers", *([format_.library] if format_ is not None else [])])
    if missing:
        command = f"pip install {missing}" if format_ is None else format_.installation
        return _not_verified(f"the library {missing} is missing. “{command}” adds it")
    # A pickled source is not loaded by the library: its keys are compared with an empty baseline.
    baseline = source_folder(source) if source.kind in (SourceKind.FOLDER, SourceKind.SAFETENSORS) else None
    full = _fits_memory(source)
    emit(Stage("Checking in a new process", "Comparing every weight" if full else "Comparing shard by shard"))
    try:
        model, reported = _load(Path(job.output), format_, full)
    except Exception:
        if baseline is None or can_load(baseline):
            raise
        return _not_verified("transformers cannot load the original model either, at least not without its own code")
    if problems := beyond_the_source(reported, baseline):
        return _failed(problems, library)
    comparison = Comparison()
    simulation = load_simulation(Path(job.output))
    folds = simulation.folds if simulation is not None else {}
    _compare(comparison, model, source, output, assignments, format_, job.errors, folds)
    finite = run_forward(model) is not False if model is not None and comparison.finite else True
    if simulation is not None and model is not None and finite and not comparison.failures:
        compare_logits(comparison, model, simulation.ids, simulation.logits)
    return _verdict(comparison, library, full, finite)


def _load(folder: Path, format_: Format | None, full: bool) -> tuple[Any | None, KeyProblems]:
    """The reloaded model, None where there is no room for it, and the keys that transformers reports."""
    if full:
        return load_dense(folder, format_)
    if format_ is None or format_.loads_on_meta:
        return None, keys_on_meta(folder)
    return None, KeyProblems()


def _not_verified(why: str) -> Verification:
    return Verification(VerificationStatus.NOT_VERIFIED, f"Not verified: {why}.")


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


def _compare(
    comparison: Comparison,
    model: Any | None,
    source: Checkpoint,
    output: Checkpoint,
    assignments: tuple[Assignment, ...],
    format_: Format | None,
    errors: Mapping[str, ErrorStats],
    folds: Mapping[str, Fold],
) -> None:
    """Every weight against the model's, against the library's unpacking where the model has no such weight (or there
    is no room for a model), and against the source, with what calibration folded into it."""
    stored = {t.name: t for t in output.tensors}
    by_name = {a.tensor.name: a for a in assignments}
    state = _by_both_names(model) if model is not None else {}
    with TensorData(output) as data, TensorData(source) as originals:
        for name, ours in dequantized_weights(output, assignments):
            assignment = by_name[name]
            theirs = state.get(name)
            if theirs is None or theirs.shape != ours.shape or not theirs.is_floating_point():
                parts = {p.suffix: data.tensor(stored[p.name_for(name)]) for p in assignment.parts()}
                scheme = assignment.scheme
                if scheme is not None and format_ is not None and scheme.storage.format == format_.id:
                    theirs = format_.dense_layer(scheme, parts)
                else:
                    theirs = parts[""] if model is None else None
                comparison.not_found += (name,) if model is not None else ()
            if theirs is not None and ours.numel():
                comparison.add(name, ours, theirs)
            if errors and ours.numel() and source.kind is not SourceKind.TORCH:
                original = originals.tensor(assignment.tensor)
                if fold := folds.get(name):
                    folded = fold.apply(original)
                    original = folded.to(original.dtype) if assignment.scheme is None else folded
                comparison.add_source(name, original, ours, errors.get(name))


def _by_both_names(model: Any) -> dict[str, torch.Tensor]:
    """The model's weights by their names with and without the base model's prefix, which a checkpoint may lack."""
    prefix = f"{model.base_model_prefix}."
    state = model.state_dict()
    without = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {prefix + name: tensor for name, tensor in state.items()} | without | state


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
        if comparison.logits_error is not None:
            summary += f" Its logits equal those of the calibrated model to {comparison.logits_error:.2%}."
        if comparison.not_found:
            summary += (
                f" {len(comparison.not_found)} have other names there; they were compared with the source, "
                "and as the library unpacks them."
            )
    return Verification(
        status,
        summary,
        library,
        comparison.compared,
        comparison.worst,
        comparison.worst_tensor,
        details="\n".join((*failures, *(f"has another name in transformers: {name}" for name in comparison.not_found))),
    )
