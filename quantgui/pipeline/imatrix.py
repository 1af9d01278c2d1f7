"""Computes an importance matrix: text runs through the model, and the inputs of every linear are squared and added."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from quantgui.calibration.text import calibration_samples
from quantgui.calibration.walk import Walk
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.imatrix import ImportanceMatrix, TensorImportance, read_facts, write_imatrix
from quantgui.formats.gguf.names import GgufTensor, gguf_tensors
from quantgui.formats.gguf.packed_blocks import holds_blocks
from quantgui.formats.gguf.source import architecture_of
from quantgui.formats.gguf.type_plan import PlanOptions, is_quantizable
from quantgui.jobs.events import ImatrixResult, Stage, Started
from quantgui.jobs.job import ImatrixJob
from quantgui.pipeline import Emit
from quantgui.pipeline.device import choose_device
from quantgui.pipeline.input_sums import Sums, block_sums, entries_of, latent_widths
from quantgui.pipeline.packed_source import unpacked, unpacking
from quantgui.pipeline.preflight import check_original, existing_parent
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.source import open_source, source_folder
from quantgui.types import Checkpoint, SourceKind, UserError

if TYPE_CHECKING:
    import torch


def compute_imatrix(job: ImatrixJob, emit: Emit) -> ImatrixResult:
    """Writes the matrix of `job.source` to `job.output`. Raises UserError for models and texts that cannot be used."""
    started = time.monotonic()
    emit(Stage("Reading the model"))
    checkpoint = open_source(job.source)
    output = Path(job.output)
    _check(checkpoint, output)
    wanted = job.calibration
    longest = checkpoint.config.context_length if checkpoint.config is not None else None
    text = Path(wanted.text) if wanted.text else None
    length = min(wanted.length, longest or wanted.length)
    samples = calibration_samples(source_folder(checkpoint), text, wanted.samples, length)
    tensors, architecture = gguf_tensors(checkpoint), architecture_of(checkpoint)
    assert checkpoint.config is not None  # there are no names without one
    sums = _walk(job, checkpoint, tensors, samples, emit)
    matrix = ImportanceMatrix(
        entries=entries_of(tensors, sums, architecture, checkpoint.config),
        dataset=text.name if text is not None else "calibration.txt",
        chunks=len(samples),
        chunk_tokens=length,
        model=job.model or checkpoint.name,
    )
    emit(Stage("Writing the importance matrix"))
    output.parent.mkdir(parents=True, exist_ok=True)
    write_imatrix(output, matrix)
    return ImatrixResult(
        output=job.output,
        entries=len(matrix.entries),
        tokens=samples.numel(),
        unreached=tuple(name for name, entry in matrix.entries.items() if not entry.counts.all()),
        seconds=time.monotonic() - started,
        missing=_without_entry(tensors, matrix.entries),
    )


def _walk(
    job: ImatrixJob, checkpoint: Checkpoint, tensors: Iterable[GgufTensor], samples: torch.Tensor, emit: Emit
) -> Sums:
    teller = ProgressTeller(emit)
    sums: Sums = {}
    latent = latent_widths(tensors)
    with TensorData(checkpoint) as data:
        plain = unpacked(checkpoint)
        walk = Walk(plain, samples, choose_device(job.device), unpacking(checkpoint, data))
        blocks = walk.block_tensors()
        nbytes = {tensor.name: tensor.nbytes for tensor in plain.tensors}
        emit(Started(job.id, sum(nbytes.get(name, 0) for name in blocks), len(blocks)))
        emit(Stage("Running the text through the model"))
        for block in walk:
            sums |= block_sums(block, latent)
            teller.add(sum(nbytes.get(name, 0) for name in block.linears), block.prefix)
    teller.finish("")
    return sums


def _without_entry(tensors: Iterable[GgufTensor], entries: Mapping[str, TensorImportance]) -> tuple[str, ...]:
    """Names of the layers' weights that are quantized, and about which the matrix says nothing."""
    quantized = (t.name for t in tensors if t.layer is not None and is_quantizable(t, PlanOptions()))
    return tuple(name for name in quantized if name not in entries)


def _check(checkpoint: Checkpoint, output: Path) -> None:
    if checkpoint.kind not in (SourceKind.FOLDER, SourceKind.TORCH):
        raise UserError(
            f"“{checkpoint.name}” cannot be run on a text to compute an importance matrix.",
            hint="Open the Hugging Face folder of the model instead.",
        )
    check_original(checkpoint, may_be_packed=holds_blocks(checkpoint))
    if output.is_dir():
        raise UserError(f"{output} is a folder, not a file.", hint="Name the file, for example model.imatrix.gguf.")
    if not existing_parent(output).is_dir():
        raise UserError(f"{existing_parent(output)} is not a folder.", hint="Choose another place.")
    if not os.access(existing_parent(output), os.W_OK):
        raise UserError(f"Nothing can be written in {existing_parent(output)}.", hint="Choose another folder.")
    if os.path.lexists(output) and not _is_matrix(output):
        raise UserError(
            f"The file {output.name} already exists, and it is not an importance matrix.",
            hint="Only an importance matrix is ever replaced by one. Choose another name.",
        )


def _is_matrix(path: Path) -> bool:
    try:
        read_facts(path)
    except (UserError, OSError):
        return False
    return True
