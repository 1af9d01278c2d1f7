"""The report is complete, self-contained, and safe to open whatever the model called its tensors."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from quantgui.jobs.events import Verification, VerificationStatus
from quantgui.report.html import render, write_report
from quantgui.schemes.recipe import Recipe, Rule, SchemeSpec
from quantgui.types import (
    HardwareTarget,
    MemoryEstimate,
    MemoryKind,
    MemoryPart,
    Verdict,
)
from tests.jobs import samples

VOID = {"meta"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>",
    "a\x00b\u202egnp.exe\n\ud800",
    "]]>--><svg onload=x>",
]


class Outline(HTMLParser):
    """Element names, attributes and text of a page; fails where tags do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_says_what_was_found(record, reports):
    page = Outline(render(record, reports))
    assert "INT4 in groups of 128: 59.3\u00a0kB instead of 230\u00a0kB" in page.text
    assert "All 29 tensors are as we wrote them." in page.text
    assert f"{record.result.bits_per_weight:.2f}" in page.text
    assert "Norms are kept" in page.text
    assert record.sha256["model.safetensors"] in page.text
    assert "torch" in page.text


def test_quality_and_training_are_there_where_they_are_known(record, reports):
    plain = render(record, reports)
    assert "Does it still predict text?" not in plain and "The training" not in plain
    page = render(replace(record, quality=samples.quality(), training=samples.training()), reports)
    text = Outline(page).text
    assert "12.167 ± 0.120" in text and "12.519 ± 0.120" in text and "Predicts worse" in text
    assert "40 of 40 steps" in text and "Loss of the training, from 0.041" in page
    assert page.count("<path") == plain.count("<path") + 2, "each step's loss and the smoothed one"
    short = replace(record, training=samples.training(1))
    assert "The training" not in render(short, reports), "one point is no curve"


def test_every_tensor_is_in_the_table(record, reports):
    page = render(record, reports)
    for report in reports:
        assert f'title="{report.name}"' in page


def test_nothing_is_loaded_and_nothing_runs(record, reports):
    page = Outline(render(record, reports))
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.elements)
    names = {name for name, _ in page.attributes}
    assert not {"src", "href", "xlink:href", "style"} & names
    assert not [name for name in names if name.startswith("on")]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "url(" not in render(record, reports)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(record, reports, name, tmp_path):
    reports[0] = replace(reports[0], name=name, module=name)
    reports[1] = replace(reports[1], scheme_id=name, why_kept=name)
    pattern = name.encode(errors="replace").decode()  # a recipe is JSON in UTF-8, which has no surrogates
    job = replace(record.result.job, source=name, recipe=Recipe(SchemeSpec("INT4"), (Rule(pattern, None),)))
    record = replace(record, result=replace(record.result, job=job, warnings=(name,)), versions={name: name})
    path = write_report(tmp_path / "report.html", record, reports)
    page = Outline(path.read_text(encoding="utf-8"))
    assert not {"script", "img"} & set(page.elements)
    assert page.elements.count("style") == 1
    assert not [key for key, _ in page.attributes if key.startswith("on")]
    assert not {"\x00", "\u202e"} & set(page.text)


def test_a_failed_check_is_the_title(record, reports):
    failed = Verification(VerificationStatus.FAILED, "layer 3 differs by 12 %.")
    record = replace(record, result=replace(record.result, verification=failed))
    page = render(record, reports)
    assert "<h1>INT4 in groups of 128: the result does not load as it should</h1>" in page
    assert "Verification failed" in page


def test_a_run_without_errors_has_no_empty_figures(record):
    page = Outline(render(record, []))
    assert "svg" not in page.elements
    assert "Median SQNR" not in page.text


def test_estimates_stand_beside_the_hardware(record, reports):
    parts = (MemoryPart(MemoryKind.WEIGHTS, 2**30), MemoryPart(MemoryKind.KV_CACHE, None))
    estimate = MemoryEstimate("INT4", 4.5, parts, 2**30, Verdict.TIGHT, "Only 3 % of VRAM is left.")
    card = HardwareTarget(name="RTX 3060", kind="consumer GPU")
    page = Outline(render(record, reports, estimates=[estimate], hardware=card))
    assert "On RTX 3060" in page.text
    assert "INT4 (this run)" in page.text
    assert "Tight" in page.text
    assert "Only 3 % of VRAM is left." in page.text


def test_a_failed_write_leaves_the_old_report(record, reports, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")
    monkeypatch.setattr("quantgui.report.html.render", lambda *_, **__: "\ud800")
    with pytest.raises(UnicodeEncodeError):
        write_report(path, record, reports)
    assert path.read_text() == "old"
