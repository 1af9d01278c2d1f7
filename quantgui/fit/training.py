"""Memory of fine-tuning: everything, adapters alone (LoRA), adapters on 4-bit weights (QLoRA).

Weights, gradients and optimizer follow from the number of parameters. Activations per layer are those of attention and
MLP for sequence S, batch B, width H, key/value width K and MLP width M, (S B (H + 2 K) + S B 2 + 2 S B M) * 2 bytes *
1.25 (unsloth's estimation); checkpointing keeps one layer plus the layers' boundaries. The logits of a large vocabulary
outweigh both: every token has its scores in 16 and 32 bits and their gradient. Checked against the memory that Qwen
published for 1.8 B to 72 B parameters at 256 to 8,192 tokens, see the tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from quantgui.fit.budget import Budget, budget_of
from quantgui.fit.verdict import judge
from quantgui.fit.weights import is_quantized, parameters, recipe_weights
from quantgui.schemes.recipe import Recipe, SchemeSpec
from quantgui.types import Checkpoint, HardwareTarget, ModelConfig, Provenance, Role, UserError, Verdict
from quantgui.units import count, memory

MAX_SEQUENCE = 10_000_000
MAX_BATCH = 65_536
MAX_RANK = 65_536
RUNTIME_BYTES = 1_400_000_000
"""PyTorch with CUDA and cuBLAS while training, 1.4 GB measured."""
OPTIMIZER_BYTES = {"adamw_8bit": 4, "adamw": 6, "paged_adamw_32bit": 8, "adamw_fp32_master": 12, "sgd": 0}
"""Bytes of optimizer state per trained parameter: the first three as measured by unsloth; with a 32-bit master copy, as
in mixed precision and DeepSpeed, 4 + 8."""
WITH_MASTER = "adamw_fp32_master"
GRADIENT_BYTES = 2
MASTER_GRADIENT_BYTES = (2, 4, 6)
"""Per trained parameter, low, likely, high: in 16 bits; beside a master copy the update needs them in 32 (18 bytes in
all, transformers' documentation of training memory), where DeepSpeed keeps the 16-bit ones meanwhile."""
DEEPSPEED_BYTES = 9_000_000_000
"""Buffers in which DeepSpeed gathers and reduces, at its defaults (4.5 times both buckets of 5e8 elements)."""
LOGIT_BYTES = (4, 10, 14)
"""Per token and word of the vocabulary: with a fused loss, likely, high. Qwen's published memory shows 8 to 12."""
FRAGMENTATION = (0.0, 0.05, 0.15)
"""Share of all other parts that PyTorch's allocator holds beside: low, likely, high."""


class TrainingKind(StrEnum):
    """What is trained."""

    FULL = "full"
    LORA = "lora"
    QLORA = "qlora"


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How it is trained. Raises UserError for impossible values."""

    sequence: int = 2048
    batch: int = 1
    rank: int = 16
    optimizer: str = "adamw_8bit"
    checkpointing: bool = True

    def __post_init__(self) -> None:
        for name, value, most in (
            ("sequence length", self.sequence, MAX_SEQUENCE),
            ("batch", self.batch, MAX_BATCH),
            ("rank", self.rank, MAX_RANK),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise UserError(f"A {name} of {value} is not possible.", hint=f"Give 1 to {most:,}.")
        if self.optimizer not in OPTIMIZER_BYTES:
            raise UserError(
                f"There is no optimizer “{self.optimizer}”.", hint=f"Choose one of {', '.join(OPTIMIZER_BYTES)}."
            )


@dataclass(frozen=True, slots=True)
class TrainingPart:
    """One part of the memory of training, with its band."""

    name: str  # "weights", "adapters", "gradients", "optimizer", "activations", "overhead"
    nbytes: int
    low: int
    high: int
    provenance: Provenance
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    """What one kind of fine-tuning needs on one hardware target."""

    kind: TrainingKind
    title: str
    trainable: int  # parameters
    parts: tuple[TrainingPart, ...]
    verdict: Verdict
    reason: str

    @property
    def total_bytes(self) -> int:
        """Sum of the parts."""
        return sum(part.nbytes for part in self.parts)

    @property
    def band(self) -> tuple[int, int]:
        """Sums of the parts' ends."""
        return sum(part.low for part in self.parts), sum(part.high for part in self.parts)


TITLES = {
    TrainingKind.FULL: "Full fine-tuning",
    TrainingKind.LORA: "LoRA on 16-bit weights",
    TrainingKind.QLORA: "QLoRA on 4-bit weights",
}


def training_estimates(
    checkpoint: Checkpoint, hardware: HardwareTarget, settings: TrainingSettings | None = None
) -> tuple[TrainingEstimate, ...]:
    """Full, LoRA and QLoRA. Raises UserError where the model's shapes are not known.

    An already quantized model is trained by adapters on its own weights alone.
    """
    settings = settings or TrainingSettings()
    config = _config(checkpoint)
    kinds = (TrainingKind.QLORA,) if is_quantized(checkpoint) else tuple(TrainingKind)
    budget = budget_of(hardware)
    return tuple(_estimate(kind, checkpoint, config, budget, settings) for kind in kinds)


def _config(checkpoint: Checkpoint) -> ModelConfig:
    config = checkpoint.config
    if config is None or not (config.hidden_size and config.num_layers):
        raise UserError(
            "Training memory is not estimated: the model's width or number of layers is not known.",
            hint="Open the folder with its config.json.",
        )
    return config


def _estimate(
    kind: TrainingKind, checkpoint: Checkpoint, config: ModelConfig, budget: Budget, settings: TrainingSettings
) -> TrainingEstimate:
    total = parameters(checkpoint) or 0
    trainable = total if kind is TrainingKind.FULL else adapter_parameters(checkpoint, settings.rank)
    parts = [_weights(kind, checkpoint)]
    if kind is not TrainingKind.FULL:
        parts.append(_exact("adapters", 2 * trainable, f"Rank {settings.rank} on every projection, 16 bits."))
    parts += [
        _gradients(trainable, settings),
        _optimizer(trainable, settings),
        _activations(checkpoint, config, settings, kind),
    ]
    deepspeed = DEEPSPEED_BYTES if kind is TrainingKind.FULL and settings.optimizer == WITH_MASTER else 0
    parts.append(_overhead(sum(part.nbytes for part in parts), deepspeed))
    total_bytes = sum(part.nbytes for part in parts)
    verdict = judge(total_bytes, Budget(budget.device_bytes or budget.ram_bytes, 0))
    return TrainingEstimate(kind, TITLES[kind], trainable, tuple(parts), verdict, _reason(verdict, total_bytes, budget))


def adapter_parameters(checkpoint: Checkpoint, rank: int) -> int:
    """Parameters of LoRA adapters: rank * (inputs + outputs) of every projection of attention and MLP."""
    return sum(rank * sum(shape[-2:]) * _experts(shape) for shape in _projections(checkpoint))


def _projections(checkpoint: Checkpoint) -> Iterable[tuple[int, ...]]:
    for tensor in checkpoint.tensors:
        if tensor.role in (Role.ATTENTION, Role.MLP, Role.EXPERT) and len(tensor.shape) >= 2:
            yield tensor.shape


def _experts(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) == 3 else 1


def _weights(kind: TrainingKind, checkpoint: Checkpoint) -> TrainingPart:
    if is_quantized(checkpoint):
        return _exact("weights", checkpoint.nbytes, "As stored.")
    scheme_id = "NF4-DQ" if kind is TrainingKind.QLORA else "BF16"
    return _exact("weights", recipe_weights(checkpoint, Recipe(SchemeSpec(scheme_id))).nbytes, f"{scheme_id}.")


def _gradients(trainable: int, settings: TrainingSettings) -> TrainingPart:
    if settings.optimizer != WITH_MASTER:
        return _exact("gradients", GRADIENT_BYTES * trainable, "16 bits per trained parameter.")
    low, likely, high = (nbytes * trainable for nbytes in MASTER_GRADIENT_BYTES)
    note = "32 bits per trained parameter, as the master copy has; some programs keep 16-bit ones too, or only these."
    return TrainingPart("gradients", likely, low, high, Provenance.ESTIMATED, note)


def _optimizer(trainable: int, settings: TrainingSettings) -> TrainingPart:
    nbytes = OPTIMIZER_BYTES[settings.optimizer] * trainable
    return _exact("optimizer", nbytes, f"{settings.optimizer}, {OPTIMIZER_BYTES[settings.optimizer]} bytes each.")


def _activations(
    checkpoint: Checkpoint, config: ModelConfig, settings: TrainingSettings, kind: TrainingKind
) -> TrainingPart:
    """What is alive while gradients are computed: the layers', the logits', and of packed weights one unpacked."""
    tokens = settings.sequence * settings.batch
    layers = _layer_activations(config, settings)
    low, likely, high = (tokens * (config.vocab_size or 0) * nbytes for nbytes in LOGIT_BYTES)
    unpacked = _largest_projection(checkpoint) if kind is TrainingKind.QLORA else 0
    kept = "one layer and the layers' boundaries" if settings.checkpointing else "all layers"
    note = f"{count(tokens)} tokens: {kept}, and {memory(likely)} for the scores of {count(config.vocab_size)} words."
    return TrainingPart(
        "activations",
        layers + likely + 2 * unpacked,
        int(0.7 * layers) + low + unpacked,
        int(1.5 * layers) + high + 3 * unpacked,
        Provenance.ESTIMATED,
        note,
    )


def _layer_activations(config: ModelConfig, settings: TrainingSettings) -> int:
    hidden, layers = config.hidden_size or 0, config.num_layers or 0
    heads = config.num_heads or 1
    key_value = (config.num_kv_heads or heads) * (config.head_dim or hidden // heads)
    tokens = settings.sequence * settings.batch
    layer = int(tokens * (hidden + 2 * key_value + 2 + 2 * (config.intermediate_size or 4 * hidden)) * 2 * 1.25)
    boundaries = tokens * hidden * 2 * layers
    return layer + boundaries if settings.checkpointing else layer * layers


def _largest_projection(checkpoint: Checkpoint) -> int:
    """Bytes of the largest packed projection once it is unpacked to 16 bits; twice while its gradient is computed."""
    return max((2 * math.prod(shape[-2:]) for shape in _projections(checkpoint)), default=0)


def _overhead(others: int, deepspeed: int) -> TrainingPart:
    low, likely, high = (int(others * share) for share in FRAGMENTATION)
    return TrainingPart(
        "overhead",
        RUNTIME_BYTES + likely,
        RUNTIME_BYTES // 2 + low,
        2 * RUNTIME_BYTES + high + deepspeed,
        Provenance.ESTIMATED,
        "PyTorch with CUDA, and what its allocator holds beside."
        + (f" DeepSpeed's buffers may add {memory(deepspeed)}." if deepspeed else ""),
    )


def _exact(name: str, nbytes: int, note: str) -> TrainingPart:
    return TrainingPart(name, nbytes, nbytes, nbytes, Provenance.DERIVED, note)


def _reason(verdict: Verdict, total: int, budget: Budget) -> str:
    have = f"{memory(budget.primary_bytes)} of {budget.primary_name}"
    if verdict is Verdict.FITS:
        return f"Needs {memory(total)} of the {have}."
    if verdict is Verdict.TIGHT:
        return f"Needs {memory(total)} of the {have}, which leaves little; a shorter sequence helps."
    return f"Needs {memory(total)}, but there are {have}."
