"""Which tensor gets which scheme: the outcome of applying a recipe to a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from quantgui.schemes.scheme import Scheme, StoredPart
from quantgui.types import TensorInfo


@dataclass(frozen=True, slots=True)
class Assignment:
    """One tensor of the source and what becomes of it. `scheme` None keeps it; `why` says in words why."""

    tensor: TensorInfo
    scheme: Scheme | None
    why: str = ""

    def parts(self) -> tuple[StoredPart, ...]:
        """The tensors this one becomes in the output."""
        if self.scheme is None:
            return (StoredPart("", self.tensor.dtype, self.tensor.shape),)
        return self.scheme.parts(self.tensor.shape, self.tensor.dtype)

    @property
    def nbytes(self) -> int:
        """Bytes in the output."""
        if self.scheme is None:
            return self.tensor.nbytes
        return self.scheme.nbytes(self.tensor.shape, self.tensor.dtype)
