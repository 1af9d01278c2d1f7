"""Computes an importance matrix: text runs through the model, and the inputs of every linear are squared and added."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quantgui.calibration.text import calibration_samples
from quantgui.calibration.walk import Block, Walk
from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.imatrix import ImportanceMatrix, TensorImportance, write_imatrix
from quantgui.formats.gguf.names import gguf_tensors
from quantgui.formats.gguf.transform import ordered_sources
from quantgui.jobs.events import ImatrixResult, Stage, Started
from quantgui.jobs.job import ImatrixJob
from quantgui.pipeline import Emit
from quantgui.pipeline.device import choose_device
from quantgui.pipeline.preflight import existing_parent
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.source import open_source, source_folder
from quantgui.types import Checkpoint, SourceKind, UserError

if TYPE_CHECKING:
    import torch

Sums = dict[str, tuple[np.ndarray, int]]
"""By the checkpoint's tensor name: sum of squared inputs float64 [columns], and how many tokens there were."""


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
    sums = _walk(job, checkpoint, samples, emit)
    matrix = ImportanceMatrix(
        entries=_entries(checkpoint, sums),
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
    )


def _walk(job: ImatrixJob, checkpoint: Checkpoint, samples: torch.Tensor, emit: Emit) -> Sums:
    teller = ProgressTeller(emit)
    sums: Sums = {}
    with TensorData(checkpoint) as data:
        walk = Walk(checkpoint, samples, choose_device(job.device), data.tensor)
        blocks = walk.block_tensors()
        nbytes = {tensor.name: tensor.nbytes for tensor in checkpoint.tensors}
        emit(Started(job.id, sum(nbytes.get(name, 0) for name in blocks), len(blocks)))
        emit(Stage("Running the text through the model"))
        for block in walk:
            sums |= block_sums(block)
            teller.add(sum(nbytes.get(name, 0) for name in block.linears), block.prefix)
    teller.finish("")
    return sums


def block_sums(block: Block) -> Sums:
    """The sums of one block; linears that share their inputs share the sum."""
    groups = block.input_groups()
    totals: dict[str, torch.Tensor] = {}
    tokens: dict[str, int] = {}

    def visit(name: str, inputs: torch.Tensor) -> None:
        squares = inputs.double().square().sum(0)
        totals[name] = totals[name] + squares if name in totals else squares
        tokens[name] = tokens.get(name, 0) + len(inputs)

    block.capture(visit, [group[0] for group in groups])
    return {
        name: (totals[group[0]].cpu().numpy(), tokens[group[0]])
        for group in groups
        if group[0] in totals
        for name in group
    }


def _entries(checkpoint: Checkpoint, sums: Mapping[str, tuple[np.ndarray, int]]) -> dict[str, TensorImportance]:
    """The sums under the names of GGUF; experts are stacked, those that no token reached with zeros."""
    entries = {}
    for tensor in gguf_tensors(checkpoint):
        sources = ordered_sources(tensor)
        if not any(name in sums for name in sources):
            continue
        columns = tensor.shape[-1]
        found = [sums.get(name, (np.zeros(columns), 0)) for name in sources]
        entries[tensor.name] = TensorImportance(
            np.stack([total for total, _ in found]).astype(np.float32),
            np.array([count for _, count in found], np.float32),
        )
    return entries


def _check(checkpoint: Checkpoint, output: Path) -> None:
    if checkpoint.kind not in (SourceKind.FOLDER, SourceKind.TORCH):
        raise UserError(
            f"“{checkpoint.name}” cannot be run on a text to compute an importance matrix.",
            hint="Open the Hugging Face folder of the model instead.",
        )
    if output.is_dir():
        raise UserError(f"{output} is a folder, not a file.", hint="Name the file, for example model.imatrix.gguf.")
    if not existing_parent(output).is_dir():
        raise UserError(f"{existing_parent(output)} is not a folder.", hint="Choose another place.")
