"""Which precision should I use? Answered from the chosen hardware: one sentence per purpose, and a precision. No Qt.

Per purpose the precisions that its program runs well are tried from the most precise down; the first whose estimate
fits is the answer, else the first that is tight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantgui import units
from quantgui.fit.weights import is_quantized
from quantgui.quant.registry import row
from quantgui.schemes.recipe import SchemeSpec
from quantgui.types import (
    Checkpoint,
    HardwareTarget,
    MemoryEstimate,
    MemoryKind,
    Runtime,
    SourceKind,
    UserError,
    Verdict,
)

QUANTIZED_ALREADY = (
    "It runs as it is. For another precision, open the original: rounding a second time adds to the loss."
)
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
    why: str  # follows "ID: "
    candidates: tuple[str, ...]  # most precise first
    runtime: Runtime
    with_gpu: bool | None = None  # whether it is about computers with a GPU or without; None: both
    offloaded: str = ""  # where nothing fits the GPU alone, what its program runs with layers in RAM


_PURPOSES = (
    _Purpose(
        "Serve with vLLM",
        "the most precise that fits of those it has fast kernels for",
        ("BF16", "W8A8-dynamic", "INT8", "GPTQ-4", "INT4"),
        Runtime.VLLM,
        with_gpu=True,
    ),
    _Purpose(
        "Use with transformers",
        "the most precise that fits",
        ("BF16", "LLM.int8", "NF4", "NF4-DQ"),
        Runtime.TRANSFORMERS,
        with_gpu=True,
    ),
    _Purpose(
        "Run on the processor",
        # bitsandbytes computes with packed weights on processors too: measured on 0.4 B parameters, LLM.int8 took 0.66
        # times the memory of BF16 and NF4 twice its speed. compressed-tensors would be unpacked to 16 bits.
        "the most precise that fits of those that stay packed in memory",
        ("LLM.int8", "NF4"),
        Runtime.TRANSFORMERS,
        with_gpu=False,
    ),
    _Purpose(
        "Ollama, LM Studio, llama.cpp",
        "the most precise GGUF file that fits",
        ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M"),
        Runtime.LLAMA_CPP,
        offloaded="Q4_K_M",
    ),
    _Purpose("Fine-tune later", "the 4-bit base that QLoRA trains adapters on", ("NF4-DQ",), Runtime.TRANSFORMERS),
)


def answers(
    checkpoint: Checkpoint,
    hardware: HardwareTarget,
    estimates: Sequence[MemoryEstimate],
    runtime: Runtime | None = None,
) -> tuple[Advice, ...]:
    """One answer per purpose, those for the chosen `runtime` first; empty without estimates.

    A model that is quantized already gets one answer: to leave it as it is.
    """
    if not estimates:
        return ()
    is_file = checkpoint.kind is SourceKind.GGUF  # which becomes another GGUF file only
    by_id = {estimate.scheme_id: estimate for estimate in estimates}
    if is_quantized(checkpoint) and not any(_exists(id_) for id_ in by_id):
        return (Advice("Already quantized", QUANTIZED_ALREADY),)
    has_gpu = bool(hardware.accelerators)
    possible = [
        purpose
        for purpose in _PURPOSES
        if purpose.with_gpu in (None, has_gpu) and (purpose.runtime is Runtime.LLAMA_CPP or not is_file)
    ]
    purposes = sorted(possible, key=lambda purpose: purpose.runtime is not runtime)
    answered = {purpose: _answer(purpose, by_id) for purpose in purposes}
    found = [advice for advice in answered.values() if advice is not None]
    if without := [purpose.title for purpose, advice in answered.items() if advice is None]:
        runs = "it runs" if len(without) == 1 else "they run"
        words = f"Nothing that {runs} well fits {hardware.name}; the Fit page says what would."
        found.append(Advice(" · ".join(without), words))
    if checkpoint.parameters <= SMALL_MODEL and not is_file:
        words = "QAT-INT4: trained with the rounding, the best 4 bits; takes minutes to hours."
        found.append(Advice("Spend time on quality", words, SchemeSpec("QAT-INT4")))
    return tuple(found)


def _answer(purpose: _Purpose, by_id: Mapping[str, MemoryEstimate]) -> Advice | None:
    possible = [by_id[id_] for id_ in purpose.candidates if id_ in by_id and _exists(id_)]
    for verdict, words in ((Verdict.FITS, ""), (Verdict.TIGHT, ", though it is tight")):
        for estimate in possible:
            if estimate.verdict is verdict:
                return _advice(purpose, estimate, f"{purpose.why}{words}")
    for estimate in possible:
        if estimate.scheme_id == purpose.offloaded and estimate.verdict is Verdict.OFFLOAD:
            return _advice(purpose, estimate, "a part of it runs from RAM, which is slower")
    return None


def _advice(purpose: _Purpose, estimate: MemoryEstimate, why: str) -> Advice:
    weights = units.file_size(estimate.part(MemoryKind.WEIGHTS))
    sentence = f"{estimate.scheme_id}: {why}; {weights} of weights."
    return Advice(purpose.title, sentence, SchemeSpec(estimate.scheme_id))


def _exists(scheme_id: str) -> bool:
    try:
        return bool(row(scheme_id))
    except UserError:
        return False
