"""What a precision is expected to cost in quality: published perplexities with their source, else words alone.

Perplexity is how surprised a model is by text it has not seen; lower is better. The ratio to the 16-bit model's is
what carries over from the source's model to another one, roughly: small models lose more, and so do models that were
trained on many tokens per parameter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from quantgui.quant.registry import rows
from quantgui.resource_files import resource
from quantgui.types import QualityLoss

WORDS_BELOW = (
    (1.001, "no measurable loss"),
    (1.01, "hardly any loss"),
    (1.035, "slight loss"),
    (1.12, "noticeable loss"),
    (1.4, "strong loss"),
    (2.0, "severe loss"),
)
"""Ratios of perplexity, and what people call them. Q6_K costs 0.3 % on Llama-3-8B, Q4_K_M 2.8 %, Q2_K 56 %."""
BROKEN = "hardly usable"
SEVERITIES = ("no loss", *(words for _, words in WORDS_BELOW))
HARDLY_ANY, SLIGHT, NOTICEABLE, STRONG = (
    SEVERITIES.index(f"{words} loss") for words in ("hardly any", "slight", "noticeable", "strong")
)
SMALL_MODEL = 3_000_000_000
SMALL_MODELS_LOSE_MORE = "models below 3 B parameters lose more"
BITS_WORDS = ((7.5, 1.005), (6.0, 1.009), (5.2, 1.02), (4.2, 1.048), (3.2, 1.22), (0.0, 3.0))
"""For precisions nobody has published: least bits and a ratio. Rounding to nearest in groups of 128 costs Llama-2-7B
4.8 % at 4 bits and 22 % at 3 bits (AWQ paper, table 4); 2 bits break a model."""
FROM_BITS = "Judged by its bits per weight, from what rounding to nearest costs Llama-2-7B (AWQ paper, table 4)."
PUBLISHED_SO = {"MXFP4_MOE": "mxfp4", "MXFP4": "mxfp4"}
"""Precisions that change nothing in a model whose weights are published in that format."""
MXFP4_WITHOUT_EXPERTS = 8
"""Bits above which GGUF's MXFP4_MOE packs no experts: in a model without them it is Q8_0."""
SCALE_BITS = 0.5
"""What scales of small groups add to the bits of a registry row."""


@dataclass(frozen=True, slots=True)
class PublishedLoss:
    """One row of the resource. `perplexity` and `perplexity_imatrix` belong to the source's model and text."""

    words: str
    perplexity: float | None
    perplexity_imatrix: float | None
    reference: float | None  # the 16-bit model's perplexity
    source: str
    url: str

    def ratio(self, imatrix: bool) -> float | None:
        """Perplexity over the 16-bit model's; of a file with an importance matrix where there is such a figure."""
        perplexity = self.perplexity
        if perplexity is None or (imatrix and self.perplexity_imatrix is not None):
            perplexity = self.perplexity_imatrix
        return None if perplexity is None or self.reference is None else perplexity / self.reference


@cache
def published_losses() -> dict[str, PublishedLoss]:
    """Every precision that has a source, by its id."""
    data = json.loads(resource("quality_loss.json").read_text(encoding="utf-8"))
    return {scheme_id: _row(row, data["sources"][row["source"]]) for scheme_id, row in data["rows"].items()}


@lru_cache(maxsize=4096)
def quality_loss(
    scheme_id: str,
    bits_per_weight: float = 0.0,
    parameters: int | None = None,
    imatrix: bool = False,
    published_as: str = "",
) -> QualityLoss | None:
    """What to expect of a precision. None where neither a source nor the bits per weight say anything.

    `parameters` (of the whole model) adds in words that small models lose more; it never changes the figure.
    `published_as` is the config's quant_method: packing weights as they were published loses nothing.
    """
    if published_as and PUBLISHED_SO.get(scheme_id) == published_as:
        return QualityLoss("no loss", None, "The model's own weights are published in this format.")
    if scheme_id == "MXFP4_MOE" and bits_per_weight > MXFP4_WITHOUT_EXPERTS:
        scheme_id = "Q8_0"
    row = published_losses().get(scheme_id)
    small = parameters is not None and parameters < SMALL_MODEL
    if row is None:
        return _from_bits(scheme_id, bits_per_weight, small)
    ratio = row.ratio(imatrix)
    words = row.words or in_words(ratio or 1.0)
    source = row.source
    if row.perplexity_imatrix is not None and (imatrix or row.perplexity is None):
        source += "; of a file made with an importance matrix"
    loses = not words.startswith(("no loss", "no measurable"))
    return QualityLoss(_sized(words, small and loses), ratio, f"{source}.")


def severity(loss: QualityLoss | None) -> int:
    """0 for no loss up to 7 for hardly usable; what is not known counts as noticeable."""
    if loss is None:
        return NOTICEABLE
    return next((rank for rank, words in enumerate(SEVERITIES) if loss.words.startswith(words)), len(SEVERITIES))


def in_words(ratio: float) -> str:
    """What a ratio of perplexities is called."""
    return next((words for limit, words in WORDS_BELOW if ratio < limit), BROKEN)


def _from_bits(scheme_id: str, bits_per_weight: float, small: bool) -> QualityLoss | None:
    """Words for a precision without a source. A registry row counts by its own bits, not those of 16-bit embeddings."""
    nominal = next((row.bits for row in rows() if row.id == scheme_id), None)
    bits = bits_per_weight if nominal is None else nominal + SCALE_BITS
    if bits <= 0:
        return None
    if bits >= 15:
        return QualityLoss("no measurable loss", None, "16 bits or more per weight.")
    ratio = next(ratio for least, ratio in BITS_WORDS if bits >= least)
    return QualityLoss(_sized(in_words(ratio), small), None, FROM_BITS)


def _sized(words: str, small: bool) -> str:
    return f"{words}; {SMALL_MODELS_LOSE_MORE}" if small else words


def _row(row: dict[str, Any], source: dict[str, Any]) -> PublishedLoss:
    return PublishedLoss(
        words=row.get("words", ""),
        perplexity=row.get("perplexity"),
        perplexity_imatrix=row.get("perplexity_imatrix"),
        reference=source.get("reference"),
        source=source["text"],
        url=source.get("url", ""),
    )
