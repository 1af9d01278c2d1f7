from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.fit.gguf_weights import FLOAT_TYPES
from quantgui.fit.quality_loss import SEVERITIES, in_words, published_losses, quality_loss, severity
from quantgui.formats.gguf.file_types import FILE_TYPES
from quantgui.quant.registry import rows

GGUF = [f"GGUF-{name}" if name in FLOAT_TYPES else name for name in FILE_TYPES]


@pytest.mark.parametrize("scheme_id", GGUF)
def test_every_gguf_type_has_a_source(scheme_id: str) -> None:
    loss = quality_loss(scheme_id)
    assert loss is not None
    assert loss.source.endswith(".")
    assert "nobody" not in loss.source


@pytest.mark.parametrize("scheme_id", [row.id for row in rows()])
def test_every_row_of_the_registry_has_words_and_says_where_from(scheme_id: str) -> None:
    loss = quality_loss(scheme_id, 4.5)
    assert loss is not None
    assert loss.words
    assert loss.source


def test_figures_are_those_of_their_source() -> None:
    ratios = {scheme: loss.perplexity_ratio for scheme in ("Q8_0", "Q4_K_M", "Q2_K") if (loss := quality_loss(scheme))}
    assert ratios == pytest.approx({"Q8_0": 1.000425, "Q4_K_M": 1.028160, "Q2_K": 1.564849}, abs=1e-4)


def test_what_has_no_figure_has_words_alone() -> None:
    for scheme_id in ("NF4", "LLM.int8", "FP8", "TQ1_0"):
        loss = quality_loss(scheme_id)
        assert loss is not None
        assert loss.perplexity_ratio is None


def test_an_importance_matrix_never_makes_it_worse_and_is_said() -> None:
    for scheme_id, row in published_losses().items():
        if row.perplexity is None or row.perplexity_imatrix is None:
            continue
        plain, weighted = quality_loss(scheme_id), quality_loss(scheme_id, imatrix=True)
        assert plain is not None
        assert weighted is not None
        assert (weighted.perplexity_ratio or 9) <= (plain.perplexity_ratio or 0)
        assert "importance matrix" in weighted.source


def test_small_models_lose_more_in_words_only() -> None:
    small, large = (quality_loss("Q4_K_M", parameters=n) for n in (10**9, 10**10))
    assert small is not None
    assert large is not None
    assert "lose more" in small.words
    assert small.perplexity_ratio == large.perplexity_ratio
    lossless = quality_loss("BF16", parameters=10**9)
    assert lossless is not None
    assert lossless.words == "no loss"


def test_words_follow_the_ratio() -> None:
    ranks = [severity(quality_loss(name)) for name in ("GGUF-F16", "Q6_K", "Q4_K_M", "Q3_K_M", "Q2_K", "IQ1_S")]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


@given(st.floats(1, 100))
def test_every_ratio_has_words_with_a_rank(ratio: float) -> None:
    assert in_words(ratio) in (*SEVERITIES, "hardly usable")


@given(st.floats(0.1, 40), st.floats(0, 20))
def test_more_bits_never_lose_more_where_bits_alone_tell(bits: float, more: float) -> None:
    few, many = quality_loss("somebody's", bits), quality_loss("somebody's", bits + more)
    assert severity(many) <= severity(few)
    assert few is not None
    assert few.perplexity_ratio is None


def test_mxfp4_of_a_model_without_experts_is_q8_0() -> None:
    assert quality_loss("MXFP4_MOE", 8.5) == quality_loss("Q8_0", 8.5)
    assert severity(quality_loss("MXFP4_MOE", 4.6)) > severity(quality_loss("Q8_0"))


def test_nothing_is_said_of_nothing() -> None:
    assert quality_loss("somebody's") is None
