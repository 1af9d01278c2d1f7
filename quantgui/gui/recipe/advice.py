"""Which precision should I use? Answered from the chosen hardware: one sentence per purpose, and a precision. No Qt.

Per purpose the precisions that its program runs well are tried from the most precise down; the first whose estimate
fits is the answer, else the first that is tight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantgui import units
from quantgui.quant.registry import row
from quantgui.schemes.recipe import SchemeSpec
from quantgui.types import Checkpoint, HardwareTarget, MemoryEstimate, MemoryKind, Runtime, UserError, Verdict

SMALL_MODEL = 1_500_000_000
"""Parameters up to which a training of a few hundred steps is a matter of hours on a common computer."""


@dataclass(frozen=True)
class Advice:
    """One answer. `spec` None: nothing can be recommended, and the sentence says why."""

    purpose: str
    sentence: str
    spec: SchemeSpec | None = None


@dataclass(frozen=True)
class _Purpose:
    title: str
    why: str  # follows "ID "
    candidates: tuple[str, ...]  # most precise first
    runtime: Runtime
    needs_gpu: bool = False


_PURPOSES = (
    _Purpose(
        "Serve it with vLLM",
        "is the most precise that fits, and vLLM has fast kernels for it",
        ("BF16", "W8A8-dynamic", "INT8", "GPTQ-4", "INT4"),
        Runtime.VLLM,
        needs_gpu=True,
    ),
    _Purpose(
        "Use it with transformers",
        "is the most precise that fits",
        ("BF16", "LLM.int8", "NF4", "NF4-DQ"),
        Runtime.TRANSFORMERS,
        needs_gpu=True,
    ),
    _Purpose(
        "Fine-tune it later",
        "is what QLoRA trains on: the base stays in 4 bits, small adapters learn",
        ("NF4-DQ",),
        Runtime.TRANSFORMERS,
    ),
    _Purpose(
        "Run it on the processor",
        "reads the fewest bytes with hardly any loss; any program that loads compressed-tensors runs it",
        ("W8A8-dynamic", "INT8", "INT4"),
        Runtime.TRANSFORMERS,
    ),
)


def answers(
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    estimates: Sequence[MemoryEstimate],
    runtime: Runtime | None = None,
) -> tuple[Advice, ...]:
    """One answer per purpose, those for the chosen `runtime` first; empty without estimates."""
    if not estimates:
        return ()
    by_id = {estimate.scheme_id: estimate for estimate in estimates}
    purposes = sorted(_PURPOSES, key=lambda purpose: purpose.runtime is not runtime)
    found = [_answer(purpose, hardware, by_id) for purpose in purposes if _is_about(purpose, hardware)]
    if checkpoint.parameters <= SMALL_MODEL:
        words = "QAT-INT4 goes on training with the rounding in place: the best 4 bits, for minutes to hours of time."
        found.append(Advice("Quality matters more than time", words, SchemeSpec("QAT-INT4")))
    return tuple(found)


def _is_about(purpose: _Purpose, hardware: HardwareTarget) -> bool:
    """Fast kernels for GPUs are no answer where there is none, and the processor none where there is a GPU."""
    has_gpu = bool(hardware.accelerators)
    return purpose.title != "Run it on the processor" or not has_gpu


def _answer(purpose: _Purpose, hardware: HardwareTarget, by_id: Mapping[str, MemoryEstimate]) -> Advice:
    if purpose.needs_gpu and not hardware.accelerators:
        return Advice(purpose.title, f"Made for GPUs; {hardware.name} has none that is known.")
    possible = [by_id[id_] for id_ in purpose.candidates if id_ in by_id and _exists(id_)]
    for verdict, words in ((Verdict.FITS, ""), (Verdict.TIGHT, ", though it is tight")):
        for estimate in possible:
            if estimate.verdict is verdict:
                weights = units.file_size(estimate.part(MemoryKind.WEIGHTS))
                sentence = f"{estimate.scheme_id} {purpose.why}{words}: {weights} of weights."
                return Advice(purpose.title, sentence, SchemeSpec(estimate.scheme_id))
    return Advice(purpose.title, f"Nothing that it runs well fits {hardware.name}; the Fit page says what would.")


def _exists(scheme_id: str) -> bool:
    try:
        return bool(row(scheme_id))
    except UserError:
        return False
