"""The limits of the issue: estimated tokens per second against published measurements."""

import pytest
from bench import speed_accuracy


def test_the_median_over_dense_models_is_within_a_tenth(tmp_path):
    result = speed_accuracy.run(tmp_path)
    assert result["dense_rows"] >= 200
    for group in ("dense", "dense_llama_cpp", "dense_llama_cpp_recent", "dense_transformers", "apple"):
        assert 0.9 <= result[f"{group}_median"] <= 1.1, group
    assert 0.8 <= result["moe_median"] <= 1.25
    assert result["dense_llama_cpp_p10"] >= 0.8
    assert result["dense_llama_cpp_p90"] <= 1.5
    assert 0.75 <= result["first_token_median"] <= 1.25
    assert result["dense_within_band"] >= 0.75
    assert result["dense_llama_cpp_half_a_median"] == pytest.approx(result["dense_llama_cpp_half_b_median"], rel=0.15)


def test_rows_are_what_generation_reads_once_and_no_more():
    """A measurement above the bandwidth limit would be speculative decoding, or of another model."""
    for row in speed_accuracy.read_rows():
        assert 0 < row.low < row.estimated < row.high
        assert 0.3 < row.ratio < 3, row
