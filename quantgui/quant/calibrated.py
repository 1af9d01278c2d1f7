"""What a calibrated method looks like to the pipeline: it sees one block at a time and gives whole weights back.

Room for all of GPTQ, AWQ and SmoothQuant: codes for the tensors a recipe gives to the method, and factors that it
folds into neighbouring tensors, norms for example, so that the model computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from quantgui.calibration.block import Block
from quantgui.jobs.job import Calibration
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.quantized_rows import QuantizedRows

if TYPE_CHECKING:
    import torch

CALIBRATION = (
    Parameter(
        "calibration",
        "Calibration text",
        "Text, JSONL or Parquet to calibrate on, at best like what the model is used for. Empty: the bundled one.",
        "",
        shapes_scheme=False,
        is_file=True,
    ),
    Parameter(
        "samples",
        "Samples",
        "Pieces of the text that run through the model. More are steadier, and take more time and memory.",
        128,
        minimum=1,
        maximum=65536,
        shapes_scheme=False,
    ),
    Parameter(
        "sample_length",
        "Tokens per sample",
        "Length of a sample; at most what the model can take.",
        512,
        minimum=2,
        maximum=131_072,
        shapes_scheme=False,
        advanced=True,
    ),
)
"""What every calibrated row lets people choose, besides its own parameters."""


def calibration_of(values: Mapping[str, ParameterValue]) -> Calibration:
    """The text that a row's parameter values ask for, by the names of `CALIBRATION`."""
    return Calibration(str(values["calibration"]) or None, int(values["samples"]), int(values["sample_length"]))


@dataclass(frozen=True)
class Fold:
    """What a method multiplied into a tensor: new = (old + offset) * rows[:, None] * columns - offset.

    `rows` has a factor per output (of a vector: per element), `columns` one per input. Gemma's norms multiply by
    1 + weight: for them `offset` is 1.
    """

    rows: torch.Tensor | None = None
    columns: torch.Tensor | None = None
    offset: float = 0.0

    def apply(self, tensor: torch.Tensor) -> torch.Tensor:
        """The folded tensor, float32, for [outputs, inputs] or a vector, on the tensor's device."""
        folded = tensor.float() + self.offset
        if self.rows is not None:
            rows = self.rows.to(tensor.device)
            folded = folded * (rows if tensor.ndim == 1 else rows.unsqueeze(1))
        if self.columns is not None:
            folded = folded * self.columns.to(tensor.device)
        return folded - self.offset


@dataclass
class CalibratedTensor:
    """What became of one tensor of a block.

    Errors are relative squared errors of the layer's output on the calibration text (`hessian.output_error`); None
    where no token reached the layer, which was then rounded to nearest.
    """

    name: str
    quantized: QuantizedRows | None  # of the whole weight; None for a kept tensor that something was folded into
    fold: Fold | None = None  # applied before quantizing
    output_error_rounded: float | None = None  # with codes rounded to nearest
    output_error: float | None = None  # with the codes given
    unseen: bool = False  # no token reached this layer
    outliers: int | None = None  # input channels beyond LLM.int8()'s threshold, where they were counted
    unscaled: bool = False  # the method scales inputs, and nothing before this layer can take a scale


class CalibratedArithmetic(Protocol):
    """The work of a calibrated method on one block."""

    def quantize_block(self, block: Block, tensors: Mapping[str, Assignment]) -> Iterator[CalibratedTensor]:
        """Every tensor of `tensors`, and every kept one that was folded into, each as soon as it is final.

        Must write into `block.linears` what the stored weights dequantize to (and into the block's other parameters
        what is stored of them): that is what the next blocks' inputs and the final check are computed with.
        """
        ...
