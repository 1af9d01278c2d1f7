"""The compressed-tensors format: what vLLM, llm-compressor and transformers (with the library) load.

Layouts (`pack_quantized`, `int_quantized`, `float_quantized`) as documented by the library
(github.com/vllm-project/compressed-tensors, Apache-2.0), checked by reloading. A weight is [rows, columns] =
[outputs, inputs]; codes are signed and stored with an offset of 2^(bits-1) where packed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quantgui.formats.float_quantized import FloatQuantized
from quantgui.formats.format import Format
from quantgui.formats.int_quantized import IntQuantized
from quantgui.formats.linear_only import ROUTED_EXPERT
from quantgui.formats.pack_quantized import PackQuantized
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.scheme import Activations, Granularity, Scheme
from quantgui.types import Role

if TYPE_CHECKING:
    import torch

Layout = PackQuantized | IntQuantized | FloatQuantized


def quantization_config(assignments: Sequence[Assignment]) -> dict[str, Any]:
    """The `quantization_config` of config.json: one config group per distinct scheme, kept linear layers ignored.

    Groups name their modules by exact regular expressions unless a single scheme covers every linear layer.
    """
    by_scheme: dict[Scheme, list[str]] = {}
    ignore = []
    # transformers unpacks experts by the first group that names some: theirs goes before a shared expert's.
    for assignment in sorted(assignments, key=lambda a: not ROUTED_EXPERT.search(a.tensor.name)):
        module = assignment.tensor.name.rpartition(".")[0]
        if is_packed(assignment):
            assert assignment.scheme is not None
            by_scheme.setdefault(assignment.scheme, []).append(module)
        elif len(assignment.tensor.shape) == 2 and assignment.tensor.role is not Role.EMBEDDING:
            ignore.append(module)
    if not any(a.tensor.role is Role.HEAD and is_packed(a) for a in assignments):
        # A tied head is a Linear module without a tensor; GPT-NeoX's `embed_out` is `lm_head` to transformers.
        ignore += [] if "lm_head" in ignore else ["lm_head"]
    groups = {}
    for index, (scheme, modules) in enumerate(by_scheme.items()):
        targets = ["Linear"] if len(by_scheme) == 1 else [_exact_target(module) for module in modules]
        groups[f"group_{index}"] = config_group(scheme, targets)
    formats = {group["format"] for group in groups.values()}
    return {
        "quant_method": "compressed-tensors",
        "format": formats.pop() if len(formats) == 1 else "mixed-precision",
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": ignore,
        "config_groups": groups,
    }


def is_packed(assignment: Assignment) -> bool:
    """Whether the tensor is written in one of this format's layouts."""
    return assignment.scheme is not None and isinstance(assignment.scheme.storage, Layout)


def mix_objection(assignments: Sequence[Assignment]) -> str:
    """Why transformers could not join the experts of a mixture that is written like this, "" where it can.

    It unpacks all experts by one scheme; left as they are, they load only beside FP8.
    """
    schemes = {a.scheme if is_packed(a) else None for a in assignments if ROUTED_EXPERT.search(a.tensor.name)}
    packed = [a.scheme.storage for a in assignments if a.scheme is not None and is_packed(a)]
    if not schemes or not packed or (len(schemes) == 1 and None not in schemes):
        return ""
    if schemes == {None} and all(isinstance(storage, FloatQuantized) for storage in packed):
        return ""
    return "transformers joins the experts of a layer while it loads them, and can do so only if all have one scheme"


def _exact_target(module: str) -> str:
    """Matches one module, also where a model without head drops the first part of its name (`bert.`, `model.`)."""
    first, _, rest = module.partition(".")
    return f"re:^({re.escape(first)}\\.)?{re.escape(rest)}$" if rest else f"re:^{re.escape(module)}$"


def config_group(scheme: Scheme, targets: list[str]) -> dict[str, Any]:
    """One config group as the library's `QuantizationScheme` reads it."""
    assert isinstance(scheme.storage, Layout)
    weights: dict[str, Any] = {
        "num_bits": scheme.bits,
        "type": scheme.number,
        "symmetric": scheme.symmetric,
        "strategy": scheme.granularity.value,
        "group_size": scheme.group_size if scheme.granularity is Granularity.GROUP else None,
        "dynamic": False,
        "observer": "minmax",
    }
    if scheme.granularity is Granularity.BLOCK:
        weights["block_structure"] = [scheme.group_size, scheme.group_size]
    return {
        "targets": targets,
        "format": scheme.storage.library_name,
        "weights": weights,
        "input_activations": None if scheme.activations is None else _activation_arguments(scheme.activations),
        "output_activations": None,
    }


def _activation_arguments(activations: Activations) -> dict[str, Any]:
    """How the library is to quantize the inputs of a layer."""
    grouped = "group" if activations.group_size else "token"
    return {
        "num_bits": activations.bits,
        "type": activations.number,
        "symmetric": True,
        "strategy": grouped if activations.dynamic else "tensor",
        "group_size": activations.group_size,
        "dynamic": activations.dynamic,
        "observer": None if activations.dynamic else "minmax",
    }


def dense_model(load: Callable[..., Any]) -> Any:
    """The model, dequantized by the library while it loads."""
    from transformers import CompressedTensorsConfig

    return load(quantization_config=CompressedTensorsConfig(dequantize=True))


def dense_layer(scheme: Scheme, parts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """One weight as the library decompresses it."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    group = config_group(scheme, ["Linear"])
    compressor = BaseCompressor.get_value_from_registry(group["format"])
    weight = compressor.decompress(dict(parts), QuantizationScheme.model_validate(group))["weight"]
    assert weight is not None
    return weight


FORMAT = Format(
    "compressed_tensors",
    "compressed-tensors",
    quantization_config,
    mix_objection,
    dense_model,
    dense_layer,
    stays_packed=False,
)
