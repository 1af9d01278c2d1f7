"""LLM.int8() with a look at activations: how many input channels of each layer it will compute in 16 bits.

The weights are those of `llm_int8`. An outlier feature is an input channel with a magnitude beyond 6.0 (Dettmers et al.
2022, arXiv:2208.07339, section 4); here it counts if one calibration token makes it so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from quantgui.calibration.block import Block
from quantgui.calibration.hessian import output_error
from quantgui.calibration.input_statistics import gather
from quantgui.checkpoint.tensor_data import torch_dtype
from quantgui.formats.bitsandbytes import OUTLIER_THRESHOLD
from quantgui.quant.calibrated import CalibratedTensor
from quantgui.quant.method import Kind, Method
from quantgui.quant.methods.llm_int8 import LlmInt8
from quantgui.schemes.assignment import Assignment


class OutlierBlocks:
    """Rounds a block's weights as ever, and counts."""

    def quantize_block(self, block: Block, tensors: Mapping[str, Assignment]) -> Iterator[CalibratedTensor]:
        """See `CalibratedArithmetic`."""
        statistics = gather(block, tensors)
        for name, assignment in tensors.items():
            assert assignment.scheme is not None
            method, weight = LlmInt8(assignment.scheme), block.linears[name]
            quantized = method.quantize(weight, torch_dtype(assignment.tensor.dtype), None)
            rounded = method.dequantize(quantized)
            if name not in statistics:
                yield CalibratedTensor(name, quantized, unseen=True)
            else:
                error = output_error(statistics[name].hessian.matrix, weight, rounded)
                outliers = int((statistics[name].largest > OUTLIER_THRESHOLD).sum())
                yield CalibratedTensor(
                    name, quantized, output_error_rounded=error, output_error=error, outliers=outliers
                )
            weight.copy_(rounded)


METHOD = Method(
    id="llm_int8_outliers",
    title="LLM.int8() with outliers counted",
    rows=(),
    arithmetic=LlmInt8,
    kind=Kind.INTEGER,
    calibrated=OutlierBlocks,
)
