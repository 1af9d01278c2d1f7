"""Puts a checkpoint's weights into a skeleton, part by part, and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from quantgui.calibration.sources import ParameterSource
from quantgui.types import TensorInfo

if TYPE_CHECKING:
    import torch

Read = Callable[[TensorInfo], "torch.Tensor"]
"""The float weight that the simulated model has in place of a stored tensor."""


def expert_name(tensor_name: str, number: int) -> str:
    """What the matrix of one expert is called, where a tensor holds those of all: "mlp.experts.down_proj[3]"."""
    return f"{tensor_name}[{number}]"


class WeightLoader:
    """Loads parameters as float32; those of plain embeddings stay in their stored dtype, as views on the file."""

    def __init__(self, model: Any, sources: dict[str, ParameterSource], read: Read, device: torch.device) -> None:
        self.model, self.sources, self.read = model, sources, read
        self._tied = dict(getattr(model, "all_tied_weights_keys", {}))
        self.move(device)

    def move(self, device: torch.device) -> None:
        """Takes what is loaded to `device`, onto which everything is loaded from now on."""
        import torch

        self.device = device
        for module in self.model.modules():
            for name, parameter in module._parameters.items():
                if parameter is not None and not parameter.is_meta:
                    module._parameters[name] = torch.nn.Parameter(parameter.data.to(device), requires_grad=False)
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = buffer.to(device)

    def names_in(self, prefix: str) -> list[str]:
        """Parameters and persistent buffers of the submodule called `prefix`."""
        return [f"{prefix}.{name}" for name in self.model.get_submodule(prefix).state_dict()]

    def tensors_of(self, name: str) -> tuple[TensorInfo, ...]:
        """The stored tensors that a parameter is made of."""
        return tuple(self.sources[name].tensors) if name in self.sources else ()

    def load(self, names: Iterable[str]) -> list[str]:
        """Loads these parameters; returns those that the checkpoint lacks, which become zeros."""
        missing = []
        for name in names:
            source = self.sources.get(name) or self.sources.get(self._tied.get(name, ""))
            if source is None:
                if self._holds(name).is_meta:  # a second one of a converter has been set with its first
                    missing.append(name)
                continue
            data = [self.read(info) for info in source.tensors]
            for built, tensor in source.build(name, self.model, data).items():
                self._set(built, tensor)
        import torch

        for name in missing:
            self._set(name, torch.zeros(self._holds(name).shape))
        return missing

    def unload(self, names: Iterable[str]) -> None:
        """Frees these parameters; buffers stay."""
        import torch

        for name in names:
            module, leaf = self._owner(name)
            if leaf in module._parameters:
                empty = torch.empty(module._parameters[leaf].shape, device="meta")
                module._parameters[leaf] = torch.nn.Parameter(empty, requires_grad=False)

    def linears(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Float32 views [outputs, inputs] by tensor name on the matrices that these loaded parameters hold.

        Writing into a view changes the model. A matrix whose elements transformers reorders while loading has none.
        """
        import torch
        from transformers.pytorch_utils import Conv1D

        views: dict[str, torch.Tensor] = {}
        for name in names:
            module, leaf = self._owner(name)
            source, parameter = self.sources.get(name), module._parameters.get(leaf)
            if source is None or parameter is None or isinstance(module, torch.nn.Embedding):
                continue
            for tensor_name, place in source.places(name, self.model).items():
                view = parameter.data[place] if place else parameter.data
                if view.ndim == 2 and tensor_name.rpartition(".")[2] == "weight":
                    views[tensor_name] = view.T if isinstance(module, Conv1D) else view
        return views

    def experts(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Float32 matrices of the experts that loaded parameters hold in a stack, by `expert_name`: as they lie there,
        [outputs, inputs] or the other way round.
        """
        matrices: dict[str, torch.Tensor] = {}
        for name in names:
            module, leaf = self._owner(name)
            source, parameter = self.sources.get(name), module._parameters.get(leaf)
            if source is None or parameter is None or parameter.ndim != 3:
                continue
            # A converter of one tensor may turn each matrix: its inputs are the same.
            alone = len(source.tensors) == 1
            places = {source.tensors[0].name: ()} if alone else source.places(name, self.model)
            for tensor_name, place in places.items():
                stack = parameter.data[place] if place else parameter.data
                if stack.ndim == 3 and stack.shape[1] > 1:  # else the taps of a convolution
                    matrices |= {expert_name(tensor_name, number): matrix for number, matrix in enumerate(stack)}
        return matrices

    def vectors(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Float32 views by tensor name on the loaded vectors; writing into one changes the model."""
        views: dict[str, torch.Tensor] = {}
        for name in names:
            module, leaf = self._owner(name)
            source, parameter = self.sources.get(name), module._parameters.get(leaf)
            if source is not None and source.converter is None and parameter is not None and parameter.ndim == 1:
                views[source.tensors[0].name] = parameter.data
        return views

    def _owner(self, name: str) -> tuple[Any, str]:
        path, _, leaf = name.rpartition(".")
        return self.model.get_submodule(path), leaf

    def _holds(self, name: str) -> torch.Tensor:
        module, leaf = self._owner(name)
        return module._parameters[leaf] if leaf in module._parameters else module._buffers[leaf]

    def _set(self, name: str, tensor: torch.Tensor) -> None:
        import torch

        module, leaf = self._owner(name)
        if leaf in module._buffers:
            module._buffers[leaf] = tensor.to(self.device)
            return
        if type(module) is not torch.nn.Embedding:
            # A copy even of float32 on the CPU: methods write into it, and it may be a view on the file.
            tensor = tensor.to(device=self.device, dtype=torch.float32, copy=True).contiguous()
        module._parameters[leaf] = torch.nn.Parameter(tensor.to(self.device), requires_grad=False)
