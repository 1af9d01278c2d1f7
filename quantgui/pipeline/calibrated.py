"""A quantization with calibrated methods: block by block through the model, everything else streamed as usual.

Every tensor is final before the block after it runs: the simulated model computes with exactly what is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from quantgui.calibration.block import Block
from quantgui.calibration.text import calibration_samples
from quantgui.calibration.walk import Walk
from quantgui.checkpoint.tensor_data import TensorData, torch_dtype
from quantgui.formats.bitsandbytes import OUTLIER_THRESHOLD
from quantgui.formats.planning import PlannedFile
from quantgui.formats.registry import is_unpacked
from quantgui.formats.shard_writer import ShardWriter
from quantgui.jobs.events import Log, Stage, TensorDone
from quantgui.jobs.job import Calibration, QuantizeJob
from quantgui.pipeline import Emit
from quantgui.pipeline.device import Fallback, is_out_of_memory
from quantgui.pipeline.progress import ProgressTeller
from quantgui.pipeline.simulation import Simulation
from quantgui.pipeline.source import source_folder
from quantgui.pipeline.tensor_work import dequantized_again, keep_tensor, quantize_tensor
from quantgui.quant.calibrated import CalibratedTensor, Fold, calibration_of
from quantgui.quant.method import RowArithmetic, ValueRange
from quantgui.quant.registry import all_methods, arithmetic, build, settings
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.recipe import Recipe
from quantgui.types import GIB, Checkpoint, SourceKind, TensorInfo, TensorReport, UserError

if TYPE_CHECKING:
    import torch

FLOAT_BYTES = 4
WORTH_THREADS = 1 << 22
"""Elements of the largest matrix from which torch's own threads gain more than they lose by waiting for each other."""
SMALLER = "Take fewer or shorter calibration samples, or close other programs."


@dataclass(frozen=True)
class PreparedCalibration:
    """A calibration that can start: its text is tokenized, its memory is there."""

    job: QuantizeJob
    checkpoint: Checkpoint
    assignments: Sequence[Assignment]
    samples: torch.Tensor  # token ids int64 [samples, length]
    warnings: tuple[str, ...] = ()

    def write(
        self,
        files: Sequence[PlannedFile],
        folder: Path,
        place: Fallback,
        trained: Mapping[str, torch.Tensor],
        teller: ProgressTeller,
        emit: Emit,
    ) -> list[TensorReport]:
        """Writes all weight files and the simulation into `folder`; returns the reports in the assignments' order."""
        import torch

        threads = self.job.threads or psutil.cpu_count(logical=False) or 1
        workers = threads if place.device.type == "cpu" else 1
        largest = max(assignment.tensor.numel for assignment in self.assignments)
        torch.set_num_threads(threads if largest >= WORTH_THREADS else 1)
        with ExitStack() as stack:
            data = stack.enter_context(TensorData(self.checkpoint))
            pool = stack.enter_context(ThreadPoolExecutor(workers))
            writers = [ShardWriter(folder, plan) for plan in files]
            for writer in writers:
                stack.callback(writer.abandon)
            write = _by_name(files, writers)
            run = _Run(self, data, pool, write, place, trained, teller, emit)
            run.everything().save(folder)
            for writer in writers:
                writer.close()
        teller.finish("")
        return [run.reports[assignment.tensor.name] for assignment in self.assignments]


def prepare_calibration(
    job: QuantizeJob, checkpoint: Checkpoint, assignments: Sequence[Assignment]
) -> PreparedCalibration | None:
    """What the recipe's calibrated schemes need, None where it has none.

    Raises UserError where the model has no tokenizer, the text is not usable, or the memory does not suffice.
    """
    if not any(is_calibrated(assignment) for assignment in assignments):
        return None
    if checkpoint.kind not in (SourceKind.FOLDER, SourceKind.TORCH) or checkpoint.config is None:
        raise UserError(
            "Calibration runs text through the model, and a bare weight file does not say how.",
            hint="Open the model's folder, with its config.json and tokenizer.",
        )
    wanted = _calibration(job.recipe)
    length = min(wanted.length, checkpoint.config.context_length or wanted.length)
    text = Path(wanted.text) if wanted.text else None
    samples = calibration_samples(source_folder(checkpoint), text, wanted.samples, length)
    _check_memory(checkpoint, samples, 1 if job.device == "cpu" else 2)
    warnings = ()
    if len(samples) < wanted.samples:
        warnings = (
            f"The calibration text gives {len(samples):,} samples of {length:,} tokens, not {wanted.samples:,}.",
        )
    return PreparedCalibration(job, checkpoint, assignments, samples, warnings)


def _calibration(recipe: Recipe) -> Calibration:
    """One text serves all calibrated schemes of a recipe: that of the base, else that of the first rule with one."""
    specs = [recipe.base, *(rule.scheme for rule in recipe.rules if rule.scheme is not None)]
    spec = next(spec for spec in specs if all_methods()[build(spec).method].calibrated is not None)
    return calibration_of(settings(spec))


def is_calibrated(assignment: Assignment) -> bool:
    """Whether the tensor's scheme looks at activations."""
    return assignment.scheme is not None and all_methods()[assignment.scheme.method].calibrated is not None


def _check_memory(checkpoint: Checkpoint, samples: torch.Tensor, copies: int) -> None:
    """The walk's `copies` of the hidden states of all samples, and twice the largest layer, in float32."""
    layers: dict[int, int] = {}
    for tensor in checkpoint.tensors:
        if tensor.layer is not None:
            layers[tensor.layer] = layers.get(tensor.layer, 0) + tensor.numel
    hidden = (checkpoint.config.hidden_size if checkpoint.config is not None else None) or 0
    needed = FLOAT_BYTES * (copies * samples.numel() * hidden + 2 * max(layers.values(), default=0))
    available = psutil.virtual_memory().available
    if needed > available:
        raise UserError(
            f"Calibration takes about {needed / GIB:.1f} GiB of memory, and {available / GIB:.1f} GiB are available.",
            hint=SMALLER,
        )


def _by_name(files: Sequence[PlannedFile], writers: Sequence[ShardWriter]) -> Callable[[str, int, torch.Tensor], None]:
    """One `write` for the tensors of all files: blocks come in another order than files hold them."""
    homes = {tensor.name: writer for plan, writer in zip(files, writers, strict=True) for tensor in plan.tensors}

    def write(name: str, offset: int, data: torch.Tensor) -> None:
        homes[name].write(name, offset, data)

    return write


class _Given(RowArithmetic):
    """Hands out a weight that is quantized already, block of rows by block of rows."""

    def __init__(self, base: RowArithmetic, quantized: QuantizedRows) -> None:
        self._base, self._quantized = base, quantized
        self.row_multiple = base.row_multiple
        self.dequantize, self.count_clipped = base.dequantize, base.count_clipped
        self.levels, self.step = base.levels, base.step

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """The given codes of these rows."""
        return self._quantized.rows(first_row, len(rows))


class _Run:
    """One pass over the model: what is outside of the blocks first, then block after block."""

    def __init__(
        self,
        prepared: PreparedCalibration,
        data: TensorData,
        pool: Executor,
        write: Callable[[str, int, torch.Tensor], None],
        place: Fallback,
        trained: Mapping[str, torch.Tensor],
        teller: ProgressTeller,
        emit: Emit,
    ) -> None:
        self._prepared, self._data, self._pool, self._write = prepared, data, pool, write
        self._place, self._trained, self._teller, self._emit = place, trained, teller, emit
        self._by_name = {a.tensor.name: a for a in prepared.assignments}
        self._calibrated: set[str] = set()
        self._folds: dict[str, Fold] = {}
        self._unseen: dict[str, None] = {}
        self._unscaled: dict[str, None] = {}
        self.reports: dict[str, TensorReport] = {}

    def everything(self) -> Simulation:
        """Writes every tensor. Raises UserError naming the layer in which the memory ran out."""
        walk = Walk(self._prepared.checkpoint, self._prepared.samples, self._place.device, self._simulated)
        block_of = walk.block_tensors()
        self._calibrated = {name for name in block_of if is_calibrated(self._by_name[name])}
        self._tell_rounded([n for n, a in self._by_name.items() if is_calibrated(a) and n not in self._calibrated])
        members = self._members(walk)
        inside = {name for names in members for name in names}
        for name in self._by_name:
            if name not in inside:
                self._outside(walk, name)
        try:
            logits = self._place.run(
                lambda: self._blocks(walk, members),
                where=lambda: _stand(walk),
                move=lambda: walk.move(self._place.device),
            )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(f"The memory ran out {_stand(walk)}.", hint=SMALLER, details=str(error)) from error
        if self._unseen:
            self._emit(Log(f"No calibration token reached {_few([*self._unseen])}: rounded to nearest.", "warning"))
        if self._unscaled:
            self._emit(Log(f"Nothing before {_few([*self._unscaled])} can take a scale: quantized without one."))
        return Simulation(self._prepared.samples[0], logits, self._folds)

    def _members(self, walk: Walk) -> list[list[str]]:
        """Names of the tensors of each block, in the checkpoint's order."""
        members: list[list[str]] = [[] for _ in range(len(walk))]
        for name, index in walk.tensors_of_blocks().items():
            members[index].append(name)
        return members

    def _simulated(self, info: TensorInfo) -> torch.Tensor:
        """The weight as it will be stored; calibrated ones as they are, until their block has been dealt with."""
        tensor = self._data.tensor(info)
        assignment = self._by_name[info.name]
        if assignment.scheme is None or info.name in self._calibrated:
            return tensor
        return _as_held(assignment, dequantized_again(assignment, self._trained.get(info.name, tensor), self._pool))

    def _outside(self, walk: Walk, name: str) -> None:
        """A tensor outside of the blocks."""

        def step() -> None:
            self._forget([name])
            self._stream(name)

        self._place.run(step, where=lambda: f"at {name}", move=lambda: walk.move(self._place.device))

    def _blocks(self, walk: Walk, members: Sequence[Sequence[str]]) -> torch.Tensor:
        """Every block that the walk has yet to finish; then the logits of the first sample."""
        for block in walk:
            self._emit(Stage("Calibrating", f"Layer {block.index + 1:,} of {len(walk):,}"))
            self._forget(members[block.index])
            self._one_block(block, members[block.index])
        return walk.logits(0)

    def _forget(self, names: Sequence[str]) -> None:
        """What a try that ran out of memory has counted of these tensors; what it wrote is written over."""
        for name in names:
            self._teller.forget(name)
            for known in (self.reports, self._folds, self._unseen, self._unscaled):
                known.pop(name, None)

    def _one_block(self, block: Block, names: Sequence[str]) -> None:
        by_method: dict[str, dict[str, Assignment]] = {}
        for name in names:
            scheme = self._by_name[name].scheme
            if name in self._calibrated and scheme is not None:
                by_method.setdefault(scheme.method, {})[name] = self._by_name[name]
        for method, tensors in by_method.items():
            work = all_methods()[method].calibrated
            assert work is not None
            outliers = []
            for result in work().quantize_block(block, tensors):
                self._finish(result)
                if result.outliers is not None:
                    module = self._by_name[result.name].tensor.module or result.name
                    outliers.append(f"{module} {result.outliers:,}")
            if outliers:
                told = ", ".join(outliers)
                self._emit(Log(f"Layer {block.index + 1:,}: input channels beyond {OUTLIER_THRESHOLD:g}: {told}."))
        for name in names:
            if name not in self.reports:
                self._stream(name)
            elif name in self._calibrated:
                weight = block.linears[name]
                weight.copy_(_as_held(self._by_name[name], weight))

    def _finish(self, result: CalibratedTensor) -> None:
        """Writes what a calibrated method has decided about a tensor."""
        assignment = self._by_name[result.name]
        tensor = self._data.tensor(assignment.tensor)
        if result.fold is not None:
            self._folds[result.name] = result.fold
            folded = result.fold.apply(tensor)
            tensor = folded.to(tensor.dtype) if result.quantized is None else folded
        if result.unseen:
            self._unseen[result.name] = None
        elif result.unscaled:
            self._unscaled[result.name] = None
        if result.quantized is None:
            report = keep_tensor(assignment, tensor, self._pool, self._write, self._advance(result.name))
        else:
            assert assignment.scheme is not None
            given = _Given(arithmetic(assignment.scheme), result.quantized)
            device = self._place.device
            report = quantize_tensor(
                assignment, tensor, device, self._pool, self._write, self._advance(result.name), method=given
            )
        self._done(replace(report, output_error_rounded=result.output_error_rounded, output_error=result.output_error))

    def _stream(self, name: str) -> None:
        """Keeps or quantizes a tensor without calibration."""
        assignment = self._by_name[name]
        tensor = self._data.tensor(assignment.tensor)
        if assignment.scheme is None or tensor.numel() == 0:
            report = keep_tensor(assignment, tensor, self._pool, self._write, self._advance(name))
        else:
            weights, device = self._trained.get(name), self._place.device
            report = quantize_tensor(assignment, tensor, device, self._pool, self._write, self._advance(name), weights)
        self._done(report)

    def _advance(self, name: str) -> Callable[[int], None]:
        return lambda nbytes: self._teller.add(nbytes, name)

    def _done(self, report: TensorReport) -> None:
        self.reports[report.name] = report
        self._emit(TensorDone(report))

    def _tell_rounded(self, names: Sequence[str]) -> None:
        if names:
            self._emit(
                Log(f"{_few(names)} lie outside of the layers that are calibrated: rounded to nearest.", "warning")
            )


def _as_held(assignment: Assignment, weight: torch.Tensor) -> torch.Tensor:
    """A dequantized weight as the library computes with it: rounded to the model's dtype where it unpacks it.

    Rounding shifts a few inputs of the next layer across a step of its quantized activations, which adds up.
    """
    return weight.to(torch_dtype(assignment.tensor.dtype)).float() if is_unpacked(assignment) else weight


def _stand(walk: Walk) -> str:
    """ "in layer 3 of 32 of the calibration" """
    if walk.finished == len(walk):
        return "after the last layer of the calibration"
    return f"in layer {walk.finished + 1:,} of {len(walk):,} of the calibration"


def _few(names: Sequence[str]) -> str:
    """ "q_proj, k_proj and 3 more" """
    shown = ", ".join(names[:2])
    return shown if len(names) <= 2 else f"{shown} and {len(names) - 2:,} more"
