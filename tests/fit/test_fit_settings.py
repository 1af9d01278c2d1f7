from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantgui.fit.settings import MAX_BATCH, MAX_CONTEXT, FitSettings, default_context
from quantgui.types import ModelConfig, UserError


@pytest.mark.parametrize(
    "values",
    [
        {"context": 0},
        {"context": -1},
        {"context": MAX_CONTEXT + 1},
        {"context": 4096.0},
        {"context": float("nan")},
        {"context": True},
        {"context": "8192"},
        {"batch": 0},
        {"batch": MAX_BATCH + 1},
        {"kv_dtype": "q3_0"},
        {"kv_dtype": ""},
    ],
)
def test_impossible_settings_are_one_clear_sentence(values: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        FitSettings(**values)
    assert caught.value.hint


@settings(deadline=None)
@given(context=st.integers(1, MAX_CONTEXT), batch=st.integers(1, MAX_BATCH))
def test_possible_ones_are_kept(context: int, batch: int) -> None:
    assert (FitSettings(context, batch).context, FitSettings(context, batch).batch) == (context, batch)


def test_the_default_context_is_what_the_model_was_made_for_and_at_most_8192() -> None:
    contexts = [default_context(ModelConfig("llama", context_length=length)) for length in (512, 131_072, None)]
    assert contexts == [512, 8192, 8192]
    assert default_context(None) == 8192
