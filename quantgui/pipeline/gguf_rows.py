"""The rows of every GGUF tensor of a source, whatever the source is: views on its files."""

from __future__ import annotations

from quantgui.checkpoint.tensor_data import TensorData
from quantgui.formats.gguf.names import GgufTensor
from quantgui.formats.gguf.source import architecture_of
from quantgui.formats.gguf.transform import Rows, copied_rows, ordered_sources, transformed_rows
from quantgui.schemes.ggml_types import BY_NAME
from quantgui.types import Checkpoint, SourceKind, TensorInfo, UserError


class RowSource:
    """Gives the rows of GGUF tensors while `data` is open."""

    def __init__(self, checkpoint: Checkpoint, data: TensorData) -> None:
        self._checkpoint, self._data = checkpoint, data
        self._stored = {info.name: info for info in checkpoint.tensors}
        self._architecture = architecture_of(checkpoint)

    def rows(self, tensor: GgufTensor) -> Rows:
        """The values of one tensor. Raises UserError where its sources have other shapes than the config says."""
        checkpoint = self._checkpoint
        if checkpoint.kind is SourceKind.GGUF:
            return self._copied(tensor.name)
        assert checkpoint.config is not None  # there are no names without one
        sources = [self._data.tensor(self._info(name)) for name in ordered_sources(tensor)]
        return transformed_rows(tensor, sources, self._architecture, checkpoint.config)

    def _info(self, name: str) -> TensorInfo:
        if name not in self._stored:
            raise UserError(f"The tensor {name} is missing.", hint="Download the model's files again.")
        return self._stored[name]

    def _copied(self, name: str) -> Rows:
        info = self._stored[name]
        kind = BY_NAME[info.dtype]
        if not kind.is_quantized:
            return copied_rows(self._data.tensor(info), number_type=kind.name)
        blocks = self._data.stored_bytes(info).view(*info.shape[:-1], kind.nbytes(info.shape[-1]))
        return copied_rows(blocks, type_name=kind.name)
