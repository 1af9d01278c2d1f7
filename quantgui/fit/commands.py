"""Ready command lines for a row: what a person pastes into a terminal to run exactly what was estimated.

Everything that comes from outside is quoted for a POSIX shell; a file or folder that is not known yet is a placeholder
in capitals.
"""

from __future__ import annotations

import json
import shlex
from pathlib import PurePath

from quantgui.fit.placement import RAM
from quantgui.fit.settings import FitSettings
from quantgui.types import GIB, Checkpoint, HardwareTarget, MemoryEstimate, Runtime, SourceKind

GPU_SHARE = 0.9
"""vLLM's own default for --gpu-memory-utilization."""
BITSANDBYTES = {
    "LLM.int8": "load_in_8bit=True",
    "NF4": 'load_in_4bit=True, bnb_4bit_quant_type="nf4"',
    "NF4-DQ": 'load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True',
    "FP4": 'load_in_4bit=True, bnb_4bit_quant_type="fp4"',
    "FP4-DQ": 'load_in_4bit=True, bnb_4bit_quant_type="fp4", bnb_4bit_use_double_quant=True',
}
CASTS = {"FP32": "float32", "FP16": "float16", "BF16": "bfloat16"}


def command_for(
    estimate: MemoryEstimate,
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings,
    path: str | None = None,
) -> str:
    """The command (for transformers a Python snippet) that runs this row. `path` is the file or folder to run."""
    if estimate.runtime is Runtime.LLAMA_CPP:
        return llama_server(estimate, checkpoint, hardware, settings, path)
    if estimate.runtime is Runtime.VLLM:
        return vllm_serve(estimate, checkpoint, hardware, settings, path)
    if estimate.runtime is Runtime.MLX:
        return mlx_generate(estimate, checkpoint, settings, path)
    return transformers_snippet(estimate, checkpoint, path)


def llama_server(
    estimate: MemoryEstimate,
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings,
    path: str | None = None,
) -> str:
    """`llama-server` with layers, context for all slots together, KV types and, for unequal GPUs, the split."""
    file_type = estimate.scheme_id.removeprefix("GGUF-")
    words = ["llama-server", "-m", path or _gguf_file(checkpoint, file_type)]
    placement = estimate.placement
    if hardware.accelerators:
        all_layers = placement is None or placement.gpu_layers is None or placement.gpu_layers == placement.total_layers
        words += ["-ngl", "99" if all_layers or placement is None else str(placement.gpu_layers)]
    if placement is not None and placement.experts_in_ram:
        words += ["--n-cpu-moe", str(placement.experts_in_ram)]
    slots = settings.slots * settings.batch
    words += ["-c", str(settings.context * settings.batch)]
    if settings.kv_dtype != "f16":
        kv_type = "q8_0" if settings.kv_dtype == "fp8" else settings.kv_dtype  # llama.cpp has no 8-bit float cache
        words += ["-ctk", kv_type, "-ctv", kv_type]
    words += ["-fa", "on" if settings.flash_attention else "off", "-np", str(slots)]
    split = _split(estimate, hardware)
    return shlex.join([*words, "-ts", split] if split else words)


def vllm_serve(
    estimate: MemoryEstimate,
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    settings: FitSettings,
    path: str | None = None,
) -> str:
    """`vllm serve` with the context, the share of GPU memory, the cache's type and tensor parallelism."""
    words = ["vllm", "serve", path or _folder(checkpoint, estimate.scheme_id)]
    words += ["--max-model-len", str(settings.context), "--max-num-seqs", str(settings.batch * settings.slots)]
    words += ["--gpu-memory-utilization", f"{GPU_SHARE:g}"]
    if settings.kv_dtype in ("fp8", "q8_0"):
        words += ["--kv-cache-dtype", "fp8"]
    if estimate.scheme_id in CASTS:
        words += ["--dtype", CASTS[estimate.scheme_id]]
    gpus = len(hardware.accelerators)
    if estimate.placement is not None:
        gpus = sum(device.name != RAM for device in estimate.placement.devices)
    if gpus > 1:
        words += ["--tensor-parallel-size", str(gpus)]
    return shlex.join(words)


def mlx_generate(
    estimate: MemoryEstimate, checkpoint: Checkpoint, settings: FitSettings, path: str | None = None
) -> str:
    """`mlx_lm.generate` with the cache's length and bits."""
    words = ["mlx_lm.generate", "--model", path or _folder(checkpoint, estimate.scheme_id)]
    words += ["--prompt", "Hello", "--max-tokens", "256", "--max-kv-size", str(settings.context)]
    bits = {"q8_0": "8", "fp8": "8", "q4_0": "4", "q4_1": "4"}.get(settings.kv_dtype)
    return shlex.join([*words, "--kv-bits", bits] if bits else words)


def transformers_snippet(estimate: MemoryEstimate, checkpoint: Checkpoint, path: str | None = None) -> str:
    """Python that loads and generates; strings are literals, so that no name can become code."""
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer"]
    arguments = ['device_map="auto"']
    source = path or _folder(checkpoint, estimate.scheme_id)
    bitsandbytes = BITSANDBYTES.get(estimate.scheme_id)
    if bitsandbytes and path is None:
        lines[0] += ", BitsAndBytesConfig"
        source = checkpoint.path or checkpoint.name
        arguments.append(f"quantization_config=BitsAndBytesConfig({bitsandbytes})")
    else:
        arguments.append(f'dtype="{CASTS.get(estimate.scheme_id, "auto")}"')
    name = json.dumps(source, ensure_ascii=False)
    return "\n".join(
        [
            *lines,
            "",
            f"tokenizer = AutoTokenizer.from_pretrained({name})",
            f"model = AutoModelForCausalLM.from_pretrained({name}, {', '.join(arguments)})",
            'inputs = tokenizer("Hello", return_tensors="pt").to(model.device)',
            "print(tokenizer.decode(model.generate(**inputs, max_new_tokens=64)[0]))",
        ]
    )


def _split(estimate: MemoryEstimate, hardware: HardwareTarget) -> str:
    """What each of several unequal GPUs takes: its layers where placed, else its GiB; "" where that is even."""
    gpus = hardware.accelerators
    names = {gpu.name for gpu in gpus}
    loads = estimate.placement.devices if estimate.placement is not None else ()
    parts = [load.layers or 0 for load in loads if load.name in names]
    if len(parts) < len(gpus) or not any(parts):
        parts = [round(gpu.memory_bytes / GIB) for gpu in gpus]
    return ",".join(map(str, parts)) if len(set(parts)) > 1 and len({gpu.memory_bytes for gpu in gpus}) > 1 else ""


def _gguf_file(checkpoint: Checkpoint, file_type: str) -> str:
    if checkpoint.kind is SourceKind.GGUF and file_type in ("stored", checkpoint.dtype):
        return checkpoint.path
    return f"{_short(checkpoint)}-{file_type}.gguf"


def _folder(checkpoint: Checkpoint, scheme_id: str) -> str:
    """The model itself for a cast, else the folder that a run would write."""
    if scheme_id in CASTS or scheme_id == "stored":
        return checkpoint.path or checkpoint.name
    return f"{_short(checkpoint)}-{scheme_id}"


def _short(checkpoint: Checkpoint) -> str:
    return PurePath(checkpoint.name.replace("\\", "/")).name or "model"
