"""What each architecture's tensors are called in GGUF: data only; `names.py` holds the one mechanism that applies it.

Sources: llama.cpp's converters and `gguf.get_tensor_name_map`, against which the tests hold every name.
"""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.layouts import dense, encoders, experts, hybrid, per_layer_inputs, state_space
from quantgui.formats.gguf.layouts._layout import DROPPED, TOP, Layout, Shape, Split

LAYOUTS: Mapping[str, Layout] = {
    **dense.LAYOUTS,
    **encoders.LAYOUTS,
    **experts.LAYOUTS,
    **hybrid.LAYOUTS,
    **per_layer_inputs.LAYOUTS,
    **state_space.LAYOUTS,
}
"""`model_type` of config.json -> how llama.cpp stores it."""

__all__ = ["DROPPED", "LAYOUTS", "TOP", "Layout", "Shape", "Split"]
