"""What everything in QuantGUI speaks in: frozen dataclasses, standard library only.

Bytes are exact integers. GB is 1e9 and GiB is 2**30; only the presentation layer converts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

GB = 10**9
GIB = 2**30


class UserError(Exception):
    """A failure a person can act on: what happened, and what to do next.

    `str(error)` is one sentence; `hint` is the next step; `details` holds everything else (a trace, a file's head).
    """

    def __init__(self, message: str, *, hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details


class Verdict(StrEnum):
    """Whether an estimate fits a hardware target. The only enumeration of verdicts in the project."""

    FITS = "fits"
    TIGHT = "tight"
    OFFLOAD = "offload"
    TOO_LARGE = "too_large"


class Provenance(StrEnum):
    """Where a number comes from: read off something real, computed exactly from headers, or modelled."""

    MEASURED = "measured"
    DERIVED = "derived"
    ESTIMATED = "estimated"


class Role(StrEnum):
    """What a tensor does in a transformer; decides what a recipe touches by default."""

    EMBEDDING = "embedding"
    HEAD = "head"
    NORM = "norm"
    ATTENTION = "attention"
    MLP = "mlp"
    EXPERT = "expert"
    ROUTER = "router"
    STATE = "state"  # state-space and linear-attention parameters
    OTHER = "other"


class SourceKind(StrEnum):
    """What kind of thing a checkpoint was read from."""

    FOLDER = "folder"  # Hugging Face folder with safetensors
    SAFETENSORS = "safetensors"  # one .safetensors file
    GGUF = "gguf"
    TORCH = "torch"  # pickled PyTorch .bin / .pt, read by the child only
    CONFIG = "config"  # config.json alone or a catalogue entry: shapes without files


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor as a header describes it; its data has not been read.

    `dtype` is the safetensors or ggml name (`BF16`, `F32`, `I32`, `Q4_K`). `file` is relative to the checkpoint's path
    and empty where no file exists; `offset` is the absolute byte offset of the data in that file.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    file: str = ""
    offset: int = 0
    role: Role = Role.OTHER
    layer: int | None = None
    module: str = ""  # short name inside its layer: "mlp.down", "attn.q", "embed"

    @property
    def numel(self) -> int:
        """Number of elements (1 for a scalar)."""
        return math.prod(self.shape)

    @property
    def short_name(self) -> str:
        """What the window shows: "layer 12 · mlp.down"; the full name goes into the tooltip."""
        label = self.module or self.name
        return label if self.layer is None else f"layer {self.layer} · {label}"


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Architecture facts under one set of names, whatever config.json or GGUF called them. None means not stated."""

    model_type: str
    architecture: str = ""  # "LlamaForCausalLM"
    hidden_size: int | None = None
    num_layers: int | None = None
    num_heads: int | None = None
    num_kv_heads: int | None = None
    head_dim: int | None = None
    intermediate_size: int | None = None
    vocab_size: int | None = None
    context_length: int | None = None
    tied_embeddings: bool = False
    quantization: str | None = None  # quant_method of an already quantized checkpoint
    raw: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model as its headers and config describe it."""

    name: str
    kind: SourceKind
    path: str  # absolute path of the folder or file; "" for a catalogue entry
    tensors: tuple[TensorInfo, ...]
    config: ModelConfig | None = None
    notes: tuple[str, ...] = ()  # sentences worth showing: what was assumed, ignored or removed

    @property
    def parameters(self) -> int:
        """Number of stored elements; a tied head that is stored once counts once."""
        return sum(t.numel for t in self.tensors)

    @property
    def nbytes(self) -> int:
        """Bytes of tensor data, without headers."""
        return sum(t.nbytes for t in self.tensors)

    @property
    def dtype(self) -> str:
        """The dtype that holds the most elements, "" for an empty checkpoint."""
        elements: Counter[str] = Counter()
        for tensor in self.tensors:
            elements[tensor.dtype] += tensor.numel
        return elements.most_common(1)[0][0] if elements else ""

    @property
    def bits_per_weight(self) -> float:
        """8 * bytes / parameters, 0 for an empty checkpoint."""
        return 8 * self.nbytes / self.parameters if self.tensors else 0.0


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One GPU or other accelerator. Memory in bytes, bandwidth in bytes per second."""

    name: str
    memory_bytes: int  # what a program can address at most (driver's total where known)
    free_bytes: int | None = None  # now, on this machine only
    bandwidth: float | None = None
    fp16_flops: float | None = None  # dense tensor throughput, FLOP/s
    vendor: str = ""
    marketed_gb: float | None = None  # the number on the box: "24 GB"
    unified: bool = False  # shares the system's memory (Apple, APUs)


@dataclass(frozen=True, slots=True)
class HardwareTarget:
    """Where a model is to run: accelerators plus system memory. Unified memory is counted once, as `ram_bytes`."""

    name: str
    kind: str  # "this machine", "consumer GPU", "Apple silicon", "CPU", "custom" …
    accelerators: tuple[Accelerator, ...] = ()
    ram_bytes: int | None = None
    ram_available_bytes: int | None = None
    ram_bandwidth: float | None = None
    cpu_name: str = ""
    cpu_cores: int | None = None
    disk_free_bytes: int | None = None
    provenance: Provenance = Provenance.DERIVED
    note: str = ""

    @property
    def device_bytes(self) -> int:
        """Memory of dedicated accelerators, summed; 0 where there are none."""
        return sum(a.memory_bytes for a in self.accelerators if not a.unified)

    @property
    def is_unified(self) -> bool:
        """Whether the accelerator shares the system's memory."""
        return any(a.unified for a in self.accelerators)


class MemoryKind(StrEnum):
    """The four parts of a running model's memory; each has a fixed hue in every chart."""

    WEIGHTS = "weights"
    KV_CACHE = "kv_cache"
    COMPUTE = "compute"
    OVERHEAD = "overhead"


class Runtime(StrEnum):
    """The programs that an estimate is made for; each has its own rules for the cache, buffers and overhead."""

    LLAMA_CPP = "llama.cpp"
    TRANSFORMERS = "transformers"
    VLLM = "vllm"
    MLX = "mlx"


@dataclass(frozen=True, slots=True)
class MemoryPart:
    """One part of an estimate; `nbytes` is None where it is not estimated (never 0 in its place).

    `low` and `high` are the band of an estimate; None where the number is exact.
    """

    kind: MemoryKind
    nbytes: int | None
    provenance: Provenance = Provenance.ESTIMATED
    note: str = ""
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceLoad:
    """What one memory holds under a placement. `layers` counts transformer layers, None where that has no meaning."""

    name: str  # "RTX 4090", "RAM"
    nbytes: int
    capacity_bytes: int
    layers: int | None = None


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the model lies. `gpu_layers` is llama.cpp's -ngl: layers on accelerators, the output layer included."""

    devices: tuple[DeviceLoad, ...]
    sentence: str  # "28 of 33 layers on the GPU, the rest in RAM."
    gpu_layers: int | None = None
    total_layers: int | None = None  # the output layer included
    experts_in_ram: int = 0  # layers whose experts stay in RAM (llama.cpp's --n-cpu-moe)


@dataclass(frozen=True, slots=True)
class SpeedEstimate:
    """Tokens per second while generating for one user, and seconds to the first token, each with its band."""

    tokens_per_second: float
    low: float
    high: float
    note: str  # what limits it and where the efficiency comes from
    first_token_seconds: float | None = None  # for a prompt that fills half the context
    first_token_low: float | None = None
    first_token_high: float | None = None


@dataclass(frozen=True, slots=True)
class QualityLoss:
    """What to expect of a precision, from published measurements: an estimate, never this model's own number."""

    words: str  # "hardly any loss", "noticeable"
    perplexity_ratio: float | None  # perplexity / that of the 16-bit model on the source's model and text
    source: str


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What one precision needs on one hardware target."""

    scheme_id: str
    bits_per_weight: float
    parts: tuple[MemoryPart, ...]
    file_bytes: int | None
    verdict: Verdict
    reason: str  # one sentence: which resource fails, and the smallest change that would pass
    runtime: Runtime = Runtime.TRANSFORMERS
    placement: Placement | None = None
    longest_context: int | None = None  # tokens per sequence that fit the primary memory; None where not known
    speed: SpeedEstimate | None = None
    quality: QualityLoss | None = None

    def part(self, kind: MemoryKind) -> int | None:
        """Bytes of one kind, None where it is not estimated."""
        known = [p.nbytes for p in self.parts if p.kind is kind and p.nbytes is not None]
        return sum(known) if known else None

    @property
    def total_bytes(self) -> int:
        """Sum of the estimated parts."""
        return sum(p.nbytes or 0 for p in self.parts)

    @property
    def band(self) -> tuple[int, int]:
        """Sums of the parts' lower and upper ends."""
        known = [p for p in self.parts if p.nbytes is not None]
        low = sum(p.nbytes or 0 if p.low is None else p.low for p in known)
        return low, sum(p.nbytes or 0 if p.high is None else p.high for p in known)


@dataclass(frozen=True, slots=True)
class ErrorStats:
    """Error of a dequantized tensor against its original. None where a ratio has no meaning (exact or all-zero)."""

    mse: float
    max_abs: float
    sqnr_db: float | None  # 10 log10(sum w^2 / sum (w - w^)^2); None when the error is exactly zero
    relative: float | None  # Frobenius ||W - W^|| / ||W||
    cosine: float | None
    clipped: float  # fraction of elements beyond the representable range
    zeroed: float  # fraction of non-zero elements that became exactly zero


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts in equal bins between `low` and `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorReport:
    """Everything the window knows about one tensor: sizes, errors and distributions, computed while streaming."""

    name: str
    shape: tuple[int, ...]
    role: Role
    layer: int | None
    module: str
    scheme_id: str | None  # None: kept as it was
    bits: float  # bits per weight as stored, scales included
    bytes_before: int
    bytes_after: int
    dtype_before: str = ""
    why_kept: str = ""
    error: ErrorStats | None = None
    before: Histogram | None = None
    after: Histogram | None = None  # same bins as `before`
    difference: Histogram | None = None  # W - W^, symmetric around zero
    levels: tuple[float, ...] = ()  # representable values in `before`'s range when few enough to draw as ticks
    step: float | None = None  # median quantization step
    channel_max: tuple[float, ...] = ()  # max |w| per output channel, max-pooled to at most 512 values
    kurtosis: float | None = None
    output_error_rounded: float | None = None
    """Relative squared error of the layer's output on the calibration text if its weights were rounded to nearest."""
    output_error: float | None = None  # the same with the weights that were written
    offset: int | None = None  # first byte in the file where the model is one GGUF file

    @property
    def short_name(self) -> str:
        """What the window shows: "layer 12 · mlp.down"; the full name goes into the tooltip."""
        label = self.module or self.name
        return label if self.layer is None else f"layer {self.layer} · {label}"
