"""The keys of each architecture that can be converted, and what its config may ask for that llama.cpp cannot do."""

from __future__ import annotations

from collections.abc import Mapping

from quantgui.formats.gguf.metadata import dense, encoders, experts, gemma, hybrid, state_space, unrotated
from quantgui.formats.gguf.metadata._shared import Builder

BUILDERS: Mapping[str, Builder] = {
    **dense.BUILDERS,
    **encoders.BUILDERS,
    **experts.BUILDERS,
    **gemma.BUILDERS,
    **hybrid.BUILDERS,
    **state_space.BUILDERS,
    **unrotated.BUILDERS,
}
"""general.architecture -> its keys."""
