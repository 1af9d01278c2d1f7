"""Findings in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quantgui.jobs.events import PairedScore
from quantgui.report.findings import describe_recipe, difference_words, key_figures, model_name, worst
from quantgui.resource_files import resource
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (SchemeSpec("INT4"), "INT4 in groups of 128"),
        (SchemeSpec("INT4", {"group_size": 32, "symmetric": False}), "INT4 in groups of 32, asymmetric"),
        (SchemeSpec("INT8"), "INT8 per output channel"),
        (SchemeSpec("FP8", {"granularity": "tensor"}), "FP8 per tensor"),
        (SchemeSpec("BF16"), "BF16"),
        (SchemeSpec("of a newer version"), "of a newer version"),
    ],
)
def test_a_recipe_in_words(spec, words):
    assert describe_recipe(Recipe(spec)) == words


def test_exceptions_are_counted():
    rule = Rule("*.mlp.*", SchemeSpec("INT8"))
    assert describe_recipe(Recipe(SchemeSpec("INT4"), (rule,))).endswith("128, 1 exception")
    assert describe_recipe(Recipe(SchemeSpec("INT4"), (rule, rule))).endswith("128, 2 exceptions")


def test_the_worst_come_first(reports):
    every = [r.error.sqnr_db for r in reports if r.error and r.error.sqnr_db is not None]
    order = [r.error.sqnr_db for r in worst(reports, 10) if r.error]
    assert order == sorted(every)[:10]


def test_key_figures_name_the_worst_tensor(record, reports):
    figures = {figure.title: figure for figure in key_figures(record.result, reports)}
    assert figures["Worst SQNR"].note == worst(reports, 1)[0].short_name
    assert figures["Tensor data"].note.endswith("smaller than before")
    assert figures["Median SQNR"].note == "28 of 29 tensors quantized"


@pytest.mark.parametrize("source", ["/models/tiny", "/models/tiny/", "C:\\models\\tiny"])
def test_the_model_is_named_by_its_folder(record, source):
    assert model_name(replace(record.result, job=replace(record.result.job, source=source))) == "tiny"


def test_the_bundled_model_goes_by_its_name(record):
    source = str(resource("demo_model"))
    assert model_name(replace(record.result, job=replace(record.result.job, source=source))) == "demo"


@pytest.mark.parametrize(
    ("difference", "error", "words"),
    [
        (0.0009, 0.0011, "A tie"),
        (-0.0019, 0.001, "A tie"),
        (0.0285, 0.0012, "worse: perplexity 2.9\u00a0% higher, +0.0285 ± 0.0012 nats"),
        (-0.0285, 0.0012, "better: perplexity 2.8\u00a0% lower, -0.0285"),
    ],
)
def test_a_difference_within_two_standard_errors_is_a_tie(difference, error, words):
    assert words in difference_words(PairedScore("before", 12.0, 0.1, difference, error))


def test_a_calibration_says_what_its_search_brought(record, reports):
    assert "Output error" not in {figure.title for figure in key_figures(record.result, reports)}
    calibrated = [replace(r, output_error=0.01, output_error_rounded=0.03) for r in reports]
    (figure,) = [f for f in key_figures(record.result, calibrated) if f.title == "Output error"]
    assert (figure.value, figure.note) == ("1.0\u00a0%", "3.0\u00a0% if rounded to nearest")
