"""An already quantized repository from its config alone: the bytes its weights take as they are stored.

`quantization_config` names the method, its bits and groups, and the modules left alone. What it does not tell follows
the methods' habits: embeddings, head, norms and routers stay in 16 bits, MXFP4 packs the experts alone, and AWQ and FP8
repositories of models with a tied head store that head once more (seen in Qwen2.5 up to 3B and Qwen3 up to 4B). Qwen's
published memory shows that FP8 models keep it while they run, and AWQ models drop it once they are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from quantgui.fit import packed_sizes
from quantgui.fit.packed_sizes import Packing
from quantgui.fit.weight_split import checkpoint_plan
from quantgui.fit.weights import STORED, WeightBytes, parameters
from quantgui.quant.assignment import TOWER
from quantgui.types import Checkpoint, Role, SourceKind, TensorInfo
from quantgui.units import file_size

MATRICES = frozenset({Role.ATTENTION, Role.MLP, Role.EXPERT, Role.STATE})
"""Roles that methods quantize where nothing else is said."""
STORE_TIED_HEAD = frozenset({"awq", "fp8"})
HEADER_BYTES = 120
"""Of a stored tensor in a safetensors header: name, dtype, shape, offsets."""
SIXTEEN_BITS = 2


def published_weights(checkpoint: Checkpoint) -> WeightBytes | None:
    """The weights as published; None where nothing says that they are quantized, or how."""
    settings = _settings(checkpoint)
    packing = packing_of(settings) if settings else None
    if packing is None or settings is None:
        return None
    method = str(settings.get("quant_method") or settings.get("quant_algo") or "mlx").lower()
    experts_only = method == "mxfp4" and any(tensor.role is Role.EXPERT for tensor in checkpoint.tensors)
    roles = frozenset({Role.EXPERT}) if experts_only else MATRICES
    everywhere = method == "mlx"
    ignored = _ignored(settings)
    sizes = [packed_or_kept(tensor, packing, roles, everywhere, ignored) for tensor in checkpoint.tensors]
    head = _second_head(checkpoint, method)
    kept = head if method == "fp8" else 0
    return WeightBytes(
        scheme_id=STORED,
        nbytes=sum(sizes) + kept,
        file_bytes=sum(sizes) + head + HEADER_BYTES * 2 * len(sizes),
        parameters=parameters(checkpoint),
        note=_note(packing, head, bool(kept)),
        split=checkpoint_plan(checkpoint).split(sizes),
    )


def packing_of(settings: Mapping[str, Any]) -> Packing | None:
    """The packing that a `quantization_config` describes; None for a method that is not known here."""
    method = str(settings.get("quant_method") or "").lower()
    algorithm = str(settings.get("quant_algo") or "").upper()
    bits = _whole(settings, "bits", "w_bit") or 4
    group = _whole(settings, "group_size", "q_group_size")
    if algorithm in ("NVFP4", "FP8"):
        return packed_sizes.NVFP4 if algorithm == "NVFP4" else packed_sizes.float8(static=True)
    if method == "awq":
        return packed_sizes.awq(bits, group or 128)
    if method == "gptq":
        return packed_sizes.gptq(bits, group or -1)
    if method in ("fp8", "fbgemm_fp8"):
        return _float8(settings, method)
    if method == "mxfp4":
        return packed_sizes.MXFP4
    if method == "bitsandbytes":
        if settings.get("load_in_4bit"):
            return packed_sizes.four_bit(bool(settings.get("bnb_4bit_use_double_quant")))
        return packed_sizes.int8_rows()
    if method == "compressed-tensors":
        return _compressed_tensors(settings)
    if not method and bits and group:  # MLX writes {"bits": 4, "group_size": 64} and no method
        return packed_sizes.mlx(bits, group)
    return None


def packed_or_kept(
    tensor: TensorInfo, packing: Packing, roles: frozenset[Role], everywhere: bool, ignored: Sequence[str] = ()
) -> int:
    """Bytes of one tensor: packed where its role is among `roles` (or `everywhere`), else in 16 bits."""
    chosen = tensor.role in roles or (everywhere and tensor.role is not Role.NORM)
    is_ignored = any(_matches(pattern, tensor.name) for pattern in ignored)
    if chosen and not is_ignored and _is_linear(tensor) and packing.fits(tensor.shape):
        return packing.nbytes(tensor.shape)
    return tensor.nbytes if tensor.dtype.startswith(("I", "U")) else min(tensor.nbytes, SIXTEEN_BITS * tensor.numel)


def _is_linear(tensor: TensorInfo) -> bool:
    """Whether it is a matrix, or a stack of them, that methods pack: no bias, convolution or tower."""
    if len(tensor.shape) < 2 or tensor.name.endswith("bias") or TOWER.search(tensor.name):
        return False
    if "conv" in tensor.module and len(tensor.shape) > 2:
        return False
    return tensor.name.endswith(".weight") or tensor.role is Role.EXPERT


def _settings(checkpoint: Checkpoint) -> Mapping[str, Any] | None:
    """The config's words on quantization, where there are no files to ask."""
    if checkpoint.kind is not SourceKind.CONFIG or checkpoint.config is None:
        return None
    raw = checkpoint.config.raw
    for key in ("quantization_config", "compression_config", "quantization"):
        if isinstance(raw.get(key), Mapping):
            return raw[key]
    return None


def _float8(settings: Mapping[str, Any], method: str) -> Packing:
    block = settings.get("weight_block_size")
    if isinstance(block, Sequence) and len(block) == 2 and all(isinstance(n, int) and n > 0 for n in block):
        return packed_sizes.float8(block=(block[0], block[1]))
    static = settings.get("activation_scheme") == "static"
    return packed_sizes.float8(per_channel=method == "fbgemm_fp8", static=static)


def _compressed_tensors(settings: Mapping[str, Any]) -> Packing | None:
    groups = settings.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        return packed_sizes.float8(per_channel=True)  # llm-compressor's dynamic FP8 is its most published recipe
    first = next(iter(groups.values()))
    weights = first.get("weights") if isinstance(first, Mapping) else None
    if not isinstance(weights, Mapping):
        return None
    bits, group = _whole(weights, "num_bits") or 4, _whole(weights, "group_size")
    if weights.get("type") == "float":
        if bits == 4:
            return packed_sizes.NVFP4 if group == 16 else packed_sizes.MXFP4
        return packed_sizes.float8(per_channel=weights.get("strategy") == "channel")
    return packed_sizes.integer_groups(bits, group, symmetric=weights.get("symmetric") is not False)


def _note(packing: Packing, head: int, is_kept: bool) -> str:
    note = f"As published ({packing.name})."
    if head:
        ending = "it stays in memory" if is_kept else "it is dropped once the model is loaded"
        note += f" The tied head is stored once more, {file_size(head)}; {ending}."
    return note


def _second_head(checkpoint: Checkpoint, method: str) -> int:
    """Bytes of a head that is stored although it is tied; 0 elsewhere."""
    config = checkpoint.config
    has_head = any(tensor.role is Role.HEAD for tensor in checkpoint.tensors)
    if config is None or has_head or not config.tied_embeddings or method not in STORE_TIED_HEAD:
        return 0
    embedding = next((t for t in checkpoint.tensors if t.role is Role.EMBEDDING and t.module == "embed"), None)
    return SIXTEEN_BITS * embedding.numel if embedding else 0


def _ignored(settings: Mapping[str, Any]) -> tuple[str, ...]:
    patterns = (settings.get("modules_to_not_convert"), settings.get("ignore"), settings.get("ignored_layers"))
    return tuple(word for words in patterns if isinstance(words, Sequence) for word in words if isinstance(word, str))


def _matches(pattern: str, name: str) -> bool:
    """Whether a pattern names a module: a regular expression behind `re:`, a glob, or consecutive parts of the name."""
    module = name.removesuffix(".weight")
    if pattern.startswith("re:"):
        try:
            return re.search(pattern[3:], module) is not None
        except re.error:
            return False
    if "*" in pattern:
        return fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*")
    return f".{pattern}." in f".{module}."


def _whole(settings: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = settings.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65_536:
            return value
    return None
