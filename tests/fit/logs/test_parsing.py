from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantgui.fit.logs import parse_log
from quantgui.fit.logs.parsing import MAX_CHARACTERS
from quantgui.types import UserError


@pytest.mark.parametrize(
    "text", ["", "   \n", "hello", "ERROR: out of memory", "CUDA0 model buffer size = MiB", "\0\0\0"]
)
def test_foreign_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_log(text)
    assert refused.value.hint


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(UserError, match="too long"):
        parse_log("x" * (MAX_CHARACTERS + 1))


PIECES = st.sampled_from(
    [
        "CUDA0 model buffer size = 4685.30 MiB",
        "KV buffer size = 99999999999.9 GiB",
        "llama_context: n_ctx = 999999999999",
        "| 0 NVIDIA Off | On |",
        "5MiB / 6MiB",
        "memory.used, name\n1, x",
        "Model loading took 1.5 GiB",
        "# GPU blocks: 5",
        "GPU KV cache size: ,, tokens",
        "Maximum concurrency for , tokens per request: 1x",
        "- CUDA0 (x) | 1 = 2 + (3 = 4 + 5 + 6) + 7 |",
    ]
)


@given(st.lists(PIECES | st.text(max_size=40), max_size=8).map("\n".join))
def test_whatever_is_pasted_ends_in_figures_or_in_a_user_error(text: str) -> None:
    try:
        parsed = parse_log(text)
    except UserError:
        return
    assert parsed.sizes or parsed.used_bytes is not None
    assert all(size.nbytes >= 0 for size in parsed.sizes)


def test_a_quotation_mark_ends_with_its_line() -> None:
    """The library of CSV files would take all that follows for one field, and refuse it for its length."""
    rows = "\n".join(['A, 5 MiB, "', *["x" * 3000] * 100, "B, 7 MiB, y"])
    assert parse_log(f"name, memory.used [MiB], other\n{rows}").used_bytes == 12 * 2**20


@pytest.mark.parametrize(
    "filler", [" " * 100_000, "CUDA0 " * 20_000, "|   0  " + "N " * 50_000, "= " * 50_000, "1," * 50_000]
)
def test_no_text_makes_the_patterns_run_away(filler: str) -> None:
    with pytest.raises(UserError):
        parse_log("\n".join([filler] * 3 + ["took " + filler]))
