"""Round to nearest against torch eager, torchao and quanto, in rounds that take turns, on the same weights."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from quantgui.checkpoint.tensor_data import row_blocks
from quantgui.pipeline.tensor_work import BLOCK_ELEMENTS, quantize_tensor
from quantgui.quant.registry import arithmetic, build
from quantgui.schemes.assignment import Assignment
from quantgui.schemes.recipe import SchemeSpec
from quantgui.types import TensorInfo

if TYPE_CHECKING:
    import torch

NAME = "rtn-speed"
HELP = "million weights per second, int4 in groups of 128 with packing and int8: ours, torch eager, torchao, quanto"

SHAPE = (4096, 4096)
GROUP = 128
BLOCK: Any = (1, GROUP)  # torchao annotates it as a tuple of one number
ROUNDS = 7
INT4, INT8 = SchemeSpec("INT4", {"group_size": GROUP}), SchemeSpec("INT8", {"granularity": "channel"})

Work = Callable[["torch.Tensor"], object]


def run(work: Path) -> dict[str, Any]:
    """Medians over rounds; in a round everybody quantizes once, so that a busy machine slows all alike.

    "ours" is codes, scales and packed bytes; "pipeline" adds what the window shows: two passes, histograms, errors.
    """
    import torch

    weight = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).mul_(0.02).bfloat16()
    threads = psutil.cpu_count(logical=False) or 1
    with ThreadPoolExecutor(threads) as pool:
        contestants: dict[str, tuple[int, Work]] = {
            "int4_ours": (1, lambda w: _ours(INT4, w, pool)),
            "int4_pipeline": (1, lambda w: _pipeline(INT4, w, pool)),
            "int4_torch_eager": (threads, _eager_int4),
            "int4_torchao_packed": (threads, _torchao_int4),
            "int4_torchao_unpacked": (threads, _torchao_intx),
            "int8_ours": (1, lambda w: _ours(INT8, w, pool)),
            "int8_pipeline": (1, lambda w: _pipeline(INT8, w, pool)),
            "int8_quanto": (threads, _quanto_int8),
        }
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for turn in range(ROUNDS + 1):  # the first round warms up and does not count
            for name, (inner_threads, contestant) in contestants.items():
                torch.set_num_threads(inner_threads)
                start = time.perf_counter()
                contestant(weight)
                if turn:
                    times[name].append(time.perf_counter() - start)
    speed = {name: weight.numel() / statistics.median(seconds) / 1e6 for name, seconds in times.items()}
    torchao = max(speed["int4_torchao_packed"], speed["int4_torchao_unpacked"])
    return {f"{name}_million_weights_per_second": round(value, 1) for name, value in speed.items()} | {
        "int4_times_torch_eager": round(speed["int4_ours"] / speed["int4_torch_eager"], 2),
        "int4_times_torchao": round(speed["int4_ours"] / torchao, 2),
        "int8_times_quanto": round(speed["int8_ours"] / speed["int8_quanto"], 2),
        "threads": threads,
    }


def _ours(spec: SchemeSpec, weight: torch.Tensor, pool: ThreadPoolExecutor) -> None:
    """Codes, scales and their packed bytes, block by block on every core: what the pipeline writes."""
    scheme = build(spec)
    method = arithmetic(scheme)

    def one(block: tuple[int, torch.Tensor]) -> object:
        first, rows = block
        quantized = method.quantize(rows.float(), weight.dtype, None, first)
        return scheme.storage.encode(scheme, quantized, first, SHAPE, "BF16")

    list(pool.map(one, row_blocks(weight, BLOCK_ELEMENTS)))


def _pipeline(spec: SchemeSpec, weight: torch.Tensor, pool: ThreadPoolExecutor) -> None:
    """A tensor as a run treats it, without the disk."""
    import torch

    info = TensorInfo("model.layers.0.mlp.up_proj.weight", SHAPE, "BF16", weight.nbytes)
    assignment = Assignment(info, build(spec))
    quantize_tensor(assignment, weight, torch.device("cpu"), pool, lambda *_: None, lambda _: None)


def _eager_int4(weight: torch.Tensor) -> object:
    """The formula as one would write it down in torch: whole tensors, torch's own threads."""
    import torch

    grouped = weight.float().view(len(weight), -1, GROUP)
    scale = (grouped.abs().amax(dim=2) / 7.5).to(weight.dtype)
    codes = (grouped / scale.float().unsqueeze(2)).round().clamp(-8, 7).to(torch.int32) + 8
    nibbles = codes.view(len(weight), -1, 8) << torch.arange(0, 32, 4, dtype=torch.int32)
    return nibbles.sum(dim=2, dtype=torch.int32), scale


def _torchao_int4(weight: torch.Tensor) -> object:
    """torchao's primitives as its int4 configurations call them, two codes a byte.

    Its packed int4 tensors need a GPU; on a CPU these are what it computes with.
    """
    import torch
    from torchao.quantization.quant_primitives import MappingType, choose_qparams_affine, quantize_affine

    scale, zero_point = choose_qparams_affine(weight, MappingType.ASYMMETRIC, BLOCK, torch.int32, 0, 15)
    codes = quantize_affine(weight, BLOCK, scale, zero_point, torch.int32, 0, 15)
    return (codes[:, ::2] << 4 | codes[:, 1::2]).to(torch.uint8), scale, zero_point


def _torchao_intx(weight: torch.Tensor) -> object:
    """torchao's int4 tensor that works on a CPU: symmetric, one code a byte, so nothing is packed."""
    import torch
    from torchao.quantization import IntxUnpackedToInt8Tensor
    from torchao.quantization.quant_primitives import MappingType

    four_bits = getattr(torch, "int4")  # noqa: B009 - torch has it without saying so
    return IntxUnpackedToInt8Tensor.from_hp(weight, BLOCK, four_bits, mapping_type=MappingType.SYMMETRIC)


def _quanto_int8(weight: torch.Tensor) -> object:
    """optimum-quanto's int8 with a scale per output channel."""
    from optimum.quanto import AbsmaxOptimizer, qint8, quantize_weight

    return quantize_weight(weight, qint8, 0, AbsmaxOptimizer()(weight, qint8, axis=0))
