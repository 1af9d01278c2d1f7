"""What encoders share: which head their checkpoint holds, and that they keep no cache."""

from __future__ import annotations

from quantgui.checkpoint.architectures._family import AttentionLayer
from quantgui.checkpoint.architectures._keys import Keys
from quantgui.types import UserError


def headless(keys: Keys, name: str) -> bool:
    """Whether the checkpoint is the encoder alone (`<name>Model`) and not one with a masked-language-model head.

    Raises UserError for other heads, whose sizes no config tells.
    """
    if keys.architecture in ("", f"{name}Model"):
        return True
    if keys.architecture == f"{name}ForMaskedLM":
        return False
    raise UserError(
        f"The head of {keys.architecture} cannot be derived from its config.", hint="Open its folder instead."
    )


def no_cache(keys: Keys) -> tuple[AttentionLayer, ...]:
    """Nothing: an encoder reads its whole input at once."""
    return ()
