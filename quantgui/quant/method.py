"""What a method's file states about itself, and what its arithmetic looks like to the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from quantgui.schemes.parameters import Parameter
from quantgui.schemes.quantized_rows import QuantizedRows
from quantgui.schemes.scheme import Scheme

if TYPE_CHECKING:
    import torch

    from quantgui.quant.calibrated import CalibratedArithmetic


class Kind(StrEnum):
    """What a method is to people: the headings of the list they choose from, in this order."""

    PLAIN = "Plain numbers"
    INTEGER = "Integers, rounded"
    FLOAT = "Small floats"
    CALIBRATED = "Calibrated on text"
    TRAINED = "Trained with the rounding"
    GGUF = "GGUF"


@dataclass(frozen=True)
class SchemeRow:
    """One id people choose by name. Feeds the fit table, the command line, the form and the writers."""

    id: str  # as people write it: "INT4"
    title: str  # "4-bit integer, round to nearest"
    summary: str  # one sentence for somebody who has never quantized anything
    bits: float  # nominal bits per weight, before scales
    format: str  # id of the format it is written in
    runtimes: tuple[str, ...]  # programs that load the result
    make: Callable[..., Scheme]  # the scheme for the parameters' values, by keyword
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True)
class Method:
    """One algorithm with its registry rows, in the order they are shown."""

    id: str  # the module's name
    title: str
    rows: tuple[SchemeRow, ...]
    arithmetic: Callable[[Scheme], RowArithmetic]
    kind: Kind = Kind.INTEGER
    calibrated: Callable[[], CalibratedArithmetic] | None = None
    """For methods that look at activations: their work on one block. `arithmetic` then is what they fall back to."""


@dataclass(frozen=True)
class ValueRange:
    """Smallest and largest value of a whole tensor, for schemes with one scale per tensor."""

    low: float
    high: float


class RowArithmetic:
    """The arithmetic of one scheme on float32 rows [rows, columns]. Subclassed by the methods."""

    needs_range = False
    """Whether `quantize` needs the range of the whole tensor first (one scale per tensor)."""

    row_multiple = 1
    """Rows that are quantized together: blocks of rows given to `quantize` begin at multiples of it."""

    surveys = False
    """Whether `survey` must see every block, and `conclude` all of its answers, before `quantize`."""

    def survey(self, rows: torch.Tensor) -> Any:
        """What the first pass notes of a block of rows."""
        raise NotImplementedError

    def conclude(self, surveys: list[Any]) -> None:
        """Everything the first pass noted of one tensor, in the order of its rows; kept for `quantize`."""
        raise NotImplementedError

    def quantize(
        self, rows: torch.Tensor, scale_dtype: torch.dtype, whole: ValueRange | None, first_row: int = 0
    ) -> QuantizedRows:
        """Codes and scales of the rows from `first_row` on; scales are rounded to `scale_dtype` before use."""
        raise NotImplementedError

    def dequantize(self, quantized: QuantizedRows) -> torch.Tensor:
        """The float32 rows a runtime computes with."""
        raise NotImplementedError

    def count_clipped(self, rows: torch.Tensor, quantized: QuantizedRows) -> int:
        """How many elements lie more than half a step beyond the representable range."""
        return 0

    def levels(self, quantized: QuantizedRows) -> tuple[float, ...]:
        """Representable values of the first group, for the histogram's ticks; empty where there are too many."""
        return ()

    def step(self, quantized: QuantizedRows) -> torch.Tensor | None:
        """Quantization steps (scales) of these rows, None where steps are not uniform."""
        return None
