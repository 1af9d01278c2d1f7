"""Pickled PyTorch weights, in the child process only: `weights_only` loading, tensors and nothing else."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantgui.checkpoint.companions import config_beside, file_names, folder_config, folder_name
from quantgui.checkpoint.folder import TORCH_INDEX, torch_files
from quantgui.checkpoint.limits import check_name
from quantgui.checkpoint.pickle_names import foreign_names
from quantgui.checkpoint.regular_file import absolute, open_regular
from quantgui.checkpoint.shard_index import check_against_index, read_index
from quantgui.checkpoint.tensor_names import describe
from quantgui.types import Checkpoint, SourceKind, TensorInfo, UserError

if TYPE_CHECKING:
    import torch

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "ema")
"""Under which training programs nest the weights."""

_BLOCKED = re.compile(r"GLOBAL ([\w.]+)")
"""How torch names what a pickle asked for and did not get."""


def open_torch(path: Path) -> Checkpoint:
    """The tensors of a .bin / .pt / .pth file or of a folder of such. Loads them (mapped where the format allows).

    Raises UserError for a file with program code, without tensors, or damaged.
    """
    path = absolute(path)
    infos, notes = [], []
    by_data: dict[tuple[Any, ...], str] = {}
    for file, name, tensor in _tensors(path):
        key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if tensor.numel() and by_data.setdefault(key, name) != name:
            notes.append(f"{name} shares its data with {by_data[key]}; it is counted once.")
            continue
        infos.append(_info(name, tensor, file))
    if path.is_dir():
        config, config_notes = folder_config(path, file_names(path))
    else:
        config, config_notes = config_beside(path)
    name = folder_name(path) if path.is_dir() else path.stem
    return Checkpoint(name, SourceKind.TORCH, str(path), tuple(infos), config, (*notes[:20], *config_notes))


def load_torch_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor by name, aliases included. Raises UserError as `open_torch` does."""
    return {name: tensor for _, name, tensor in _tensors(path)}


def _tensors(path: Path) -> Iterator[tuple[str, str, torch.Tensor]]:
    """(file, tensor name, tensor) of a file, or of all shards of a folder."""
    if not path.is_dir():
        for name, tensor in _load(path).items():
            yield path.name, name, tensor
        return
    index: dict[str, str] = {}
    files = torch_files(file_names(path))
    if TORCH_INDEX in files and len(files) == 1:
        index = read_index(path / TORCH_INDEX)
        files = sorted(set(index.values()))
    elif len(files) != 1:
        raise UserError(
            f"“{path.name}” holds several PyTorch files: {', '.join(files[:4])}.", hint="Open one of them instead."
        )
    for file in files:
        tensors = _load(path / file)
        ignored = set(check_against_index(index, file, tensors, TORCH_INDEX)) if index else set()
        for name, tensor in tensors.items():
            if name not in ignored:
                yield file, name, tensor


def _load(path: Path) -> dict[str, torch.Tensor]:
    import torch

    with open_regular(path) as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    try:
        with warnings.catch_warnings():  # about pickle protocols and TorchScript; the outcome says it better
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # torch raises half a dozen kinds for damaged files
        raise _load_error(path, str(error)) from None
    return _only_tensors(loaded, path.name)


def _load_error(path: Path, said: str) -> UserError:
    names = [*_BLOCKED.findall(said), *foreign_names(path)]
    if names or "TorchScript" in said:
        return UserError(
            f"“{path.name}” contains code{f' ({names[0][:80]})' if names else ''}, which QuantGUI never runs.",
            hint="Look for a safetensors version of the model, or save only its state_dict().",
            details=said,
        )
    return UserError(
        f"“{path.name}” is damaged, or is not a PyTorch weight file in a format that can be read safely.",
        hint="Download it again, or save it again with torch.save(model.state_dict(), …).",
        details=said,
    )


def _only_tensors(loaded: Any, file: str) -> dict[str, torch.Tensor]:
    import torch

    if not isinstance(loaded, Mapping):
        raise UserError(
            f"“{file}” holds a {type(loaded).__name__}, not a table of named tensors.",
            hint="Save the model's state_dict() and open that file.",
        )
    tensors = {str(key): value for key, value in loaded.items() if isinstance(value, torch.Tensor)}
    if tensors:
        return {check_name(name, file): _dense(name, value, file) for name, value in tensors.items()}
    for key in WRAPPERS:
        if isinstance(loaded.get(key), Mapping):
            return _only_tensors(loaded[key], file)
    raise UserError(f"“{file}” holds no tensors.", hint="Pick the file with the model's weights.")


def _dense(name: str, tensor: torch.Tensor, file: str) -> torch.Tensor:
    import torch

    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        kind = "without data" if tensor.device.type == "meta" else "sparse or quantized by PyTorch itself"
        raise UserError(
            f"“{file}” stores the tensor “{name}” {kind}, which cannot be read.", hint="Save it as dense floats."
        )
    return tensor.detach()


def _info(name: str, tensor: torch.Tensor, file: str) -> TensorInfo:
    told = describe(name, tensor.ndim)
    nbytes = tensor.numel() * tensor.element_size()
    dtype = _dtype_name(tensor.dtype)
    return TensorInfo(name, tuple(tensor.shape), dtype, nbytes, file, 0, told.role, told.layer, told.module)


def _dtype_name(dtype: torch.dtype) -> str:
    """The safetensors name of a torch dtype. Raises UserError for one that safetensors cannot hold."""
    import torch

    names = {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.float8_e4m3fn: "F8_E4M3",
        torch.float8_e5m2: "F8_E5M2",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int16: "I16",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
        torch.complex64: "C64",
    }
    if dtype not in names:
        raise UserError(
            f"Tensors of type {dtype} cannot be read.", hint="Save the model in a common floating-point type."
        )
    return names[dtype]
