"""Quantization-aware training: the weights go on training while every forward pass already rounds them.

The rounding's gradient is taken to be that of the identity (straight-through: Bengio et al. 2013, arXiv:1308.3432;
for integer networks Jacob et al. 2018, arXiv:1712.05877, section 3). Rounding, scales and storage are round to
nearest's own: what is trained is what is written. `pipeline/training` does it; here is what people choose.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from quantgui.formats.int_quantized import IntQuantized
from quantgui.formats.pack_quantized import PackQuantized
from quantgui.quant.method import Kind, Method, SchemeRow
from quantgui.quant.methods.round_to_nearest import GROUP_SIZE, RUNTIMES, SYMMETRIC, RoundToNearest
from quantgui.schemes.parameters import Parameter, ParameterValue
from quantgui.schemes.scheme import Granularity, Scheme

METHOD_ID = "qat"

LEARNING_RATE = 1e-4
"""Measured with QAT-INT4's other defaults on the bundled model, by the paired loss per token of its evaluation text:
5e-5 was worse (+0.0010 +- 0.0004 nats), 2e-4 no different (+0.0003 +- 0.0005)."""

TRAINING = (
    Parameter(
        "steps",
        "Training steps",
        "Updates of the weights. A few hundred are enough to win back most of what rounding loses.",
        200,
        minimum=1,
        maximum=1_000_000,
        shapes_scheme=False,
    ),
    Parameter(
        "learning_rate",
        "Learning rate",
        "How far a step goes at most. It rises over the first steps and falls along a cosine to zero.",
        LEARNING_RATE,
        minimum=1e-8,
        maximum=1.0,
        shapes_scheme=False,
    ),
    Parameter(
        "calibration",
        "Training text",
        "Text, JSONL or Parquet to train on, at best like what the model was trained on. Empty: the bundled one.",
        "",
        shapes_scheme=False,
        is_file=True,
    ),
    Parameter(
        "distill",
        "Learn from the original",
        "Train towards the original model's probabilities (distillation) instead of the text alone.",
        True,
        shapes_scheme=False,
    ),
    Parameter(
        "batch",
        "Sequences per step",
        "More give smoother steps and take more memory and time.",
        4,
        minimum=1,
        maximum=4096,
        advanced=True,
        shapes_scheme=False,
    ),
    Parameter(
        "context",
        "Tokens per sequence",
        "Longer sequences take more memory and time.",
        256,
        minimum=2,
        maximum=131_072,
        advanced=True,
        shapes_scheme=False,
    ),
    Parameter(
        "seed",
        "Seed",
        "Decides the order of the text; the same seed gives the same result on the same machine.",
        0,
        minimum=0,
        maximum=2**31 - 1,
        advanced=True,
        shapes_scheme=False,
    ),
)


def make_by_byte(scheme_id: str, **_training: ParameterValue) -> Scheme:
    """8 bits with a scale per output channel, symmetric."""
    return Scheme(scheme_id, METHOD_ID, "int", 8, IntQuantized(), Granularity.CHANNEL)


def make_packed(scheme_id: str, bits: int, *, group_size: int, symmetric: bool, **_training: ParameterValue) -> Scheme:
    """Packed codes of a few bits with a scale per group."""
    return Scheme(
        scheme_id,
        METHOD_ID,
        "int",
        bits,
        PackQuantized(),
        Granularity.GROUP,
        group_size=group_size,
        symmetric=symmetric,
    )


def _packed_row(bits: int, summary: str, group_size: int) -> SchemeRow:
    return SchemeRow(
        id=f"QAT-INT{bits}",
        title=f"{bits}-bit integer, trained",
        summary=summary,
        bits=bits,
        format="compressed_tensors",
        runtimes=RUNTIMES,
        make=partial(make_packed, f"QAT-INT{bits}", bits),
        parameters=(replace(GROUP_SIZE, default=group_size), SYMMETRIC, *TRAINING),
    )


METHOD = Method(
    id=METHOD_ID,
    title="Quantization-aware training",
    rows=(
        SchemeRow(
            id="QAT-INT8",
            title="8-bit integer, trained",
            summary="Goes on training with the rounding in place; 8 bits rarely need it.",
            bits=8,
            format="compressed_tensors",
            runtimes=RUNTIMES,
            make=partial(make_by_byte, "QAT-INT8"),
            parameters=TRAINING,
        ),
        _packed_row(4, "Goes on training with the rounding in place: the most quality 4 bits can keep, for time.", 128),
        _packed_row(2, "Two bits that training makes usable, where plain rounding breaks the model.", 32),
    ),
    arithmetic=RoundToNearest,
    kind=Kind.TRAINED,
)
