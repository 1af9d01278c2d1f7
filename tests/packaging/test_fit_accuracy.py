"""The limits of the issue: GGUF sizes from configs alone, against published files."""

from bench import fit_accuracy


def test_predicted_sizes_stay_within_their_limits(tmp_path):
    result = fit_accuracy.run(tmp_path)
    assert result["rows"] >= 80
    assert result["median_percent"] <= 0.1
    assert result["p90_percent"] <= 0.5
    assert result["max_percent"] <= 1.5
    assert result["exact_bytes_p90_percent"] <= 0.05


def test_recent_architectures_agree_as_far_as_one_decimal_shows():
    rows = [row for row in fit_accuracy.read_rows() if row.figure == fit_accuracy.ONE_DECIMAL]
    assert all(row.is_within_figure for row in rows), fit_accuracy.table(rows)


def test_the_error_is_signed_and_a_rounded_figure_is_not_held_against_it():
    row = fit_accuracy.Row("m", "Q4_0", 1_550_000_000, 1_559_000_000, "GB", False, False, "")
    assert row.error_percent > 0
    assert row.is_within_figure
    assert "same number" in fit_accuracy.table([row])


def test_caches_parameters_buffers_and_programs_stay_within_their_limits():
    result = fit_accuracy.memory_summary()
    assert (result["parameter_rows"], result["parameter_differences"]) == (61, 0)
    assert result["kv_cache_rows"] >= 20
    assert result["kv_cache_differences"] == 0
    assert result["compute_max_percent"] <= 10
    assert result["total_rows"] >= 100
    assert result["total_median_percent"] <= 5
    assert result["total_more_than_10_percent_under"] == 0
