"""W8A8-dynamic: 8-bit weights and activations; the activations' scales are found per token while the model runs.

Weights as in round to nearest, a scale per output channel; activations per token as in Yao et al. 2022, "ZeroQuant"
(arXiv:2206.01861, section 4.1). Needs no calibration, because nothing of the activations is stored.
"""

from __future__ import annotations

from quantgui.formats.int_quantized import IntQuantized
from quantgui.quant.method import Method, SchemeRow
from quantgui.quant.methods.round_to_nearest import RoundToNearest
from quantgui.schemes.scheme import Activations, Granularity, Scheme


def make() -> Scheme:
    """Int8 per output channel, int8 activations per token, both symmetric: what int8 kernels multiply."""
    return Scheme(
        "W8A8-dynamic",
        "dynamic_int8",
        "int",
        8,
        IntQuantized(),
        Granularity.CHANNEL,
        activations=Activations("int"),
    )


METHOD = Method(
    id="dynamic_int8",
    title="Dynamic INT8",
    rows=(
        SchemeRow(
            "W8A8-dynamic",
            "8-bit weights and activations",
            "Computes in 8-bit integers on most cards and CPUs; each token's scale is found as it runs.",
            8,
            "compressed_tensors",
            ("vLLM", "transformers"),
            make,
        ),
    ),
    arithmetic=RoundToNearest,
)
