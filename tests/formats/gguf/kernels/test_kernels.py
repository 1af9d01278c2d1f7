from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from quantgui.formats.gguf.kernels import NO_WEIGHTS, dequantize_rows, ggml, legacy, quantize_rows
from quantgui.schemes.ggml_types import GGML_TYPES
from quantgui.types import UserError

WEIGHT_TYPES = [kind for kind in GGML_TYPES if kind.name not in NO_WEIGHTS]
LARGEST_ERROR = {
    "F32": 0.0,
    "F16": 3e-4,
    "BF16": 2e-3,
    "Q8_0": 0.006,
    "Q6_K": 0.02,
    "Q5_K": 0.04,
    "Q4_K": 0.08,
    "Q2_K": 0.35,
}
"""Relative root mean square errors on normal weights, a little above those that ggml reaches."""


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.02, (6, 512)).astype(np.float32)


def relative_error(values: np.ndarray, rows: np.ndarray) -> float:
    return float(np.sqrt(((values - rows) ** 2).sum() / (rows**2).sum()))


@pytest.mark.parametrize("kind", WEIGHT_TYPES, ids=lambda kind: kind.name)
def test_blocks_have_their_size_and_come_back(kind, rows: np.ndarray) -> None:
    importance = np.ones(512, np.float32)
    raw = quantize_rows(kind.name, rows, importance)
    assert raw.shape == (6, kind.nbytes(512))
    error = relative_error(dequantize_rows(kind.name, raw, 512), rows)
    assert error <= LARGEST_ERROR.get(kind.name, 0.9)


@pytest.mark.parametrize("name", sorted(legacy.TYPES))
def test_without_ggml_the_older_types_remain(name: str, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with_ggml = dequantize_rows(name, quantize_rows(name, rows), 512)
    monkeypatch.setattr(ggml, "ggml_library", lambda: None)
    without = dequantize_rows(name, quantize_rows(name, rows), 512)
    np.testing.assert_allclose(without, with_ggml, atol=1e-6)


def test_without_ggml_the_others_say_what_is_missing(rows: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ggml, "ggml_library", lambda: None)
    with pytest.raises(UserError, match="Q4_K needs the library"):
        quantize_rows("Q4_K", rows)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(value: float, rows: np.ndarray) -> None:
    broken = rows.copy()
    broken[3, 100] = value
    with pytest.raises(UserError, match="not numbers"):
        quantize_rows("IQ3_S", broken)


@pytest.mark.parametrize("name", ["Q4_0", "Q8_0", "Q4_K", "F16"])
def test_weights_beyond_sixteen_bits_are_refused(name: str, rows: np.ndarray) -> None:
    huge = rows.copy()
    huge[2, 7] = 1e30
    with pytest.raises(UserError, match="too large"):
        quantize_rows(name, huge)


@pytest.mark.parametrize("name", ["IQ2_XS", "IQ3_S", "IQ4_XS", "Q3_K"])
@pytest.mark.parametrize("size", [1e10, 1e20, 3e38])
def test_weights_that_would_end_the_process_are_refused_before(name: str, size: float, rows: np.ndarray) -> None:
    with pytest.raises(UserError, match="too large"):
        quantize_rows(name, np.full_like(rows, size), np.ones(512, np.float32))


def test_an_importance_that_would_end_the_process_is_refused_before(rows: np.ndarray) -> None:
    with pytest.raises(UserError, match="never as large"):
        quantize_rows("IQ2_XS", rows, np.full(512, 1e38, np.float32))


@pytest.mark.parametrize("name", ["IQ2_XXS", "IQ2_XS", "IQ1_S"])
def test_types_that_need_an_importance_matrix_say_so(name: str, rows: np.ndarray) -> None:
    with pytest.raises(UserError, match="needs an importance matrix"):
        quantize_rows(name, rows)


@pytest.mark.parametrize("importance", [np.full(512, -1.0), np.full(512, np.nan), np.ones(256)])
def test_a_wrong_importance_matrix_is_refused(importance: np.ndarray, rows: np.ndarray) -> None:
    with pytest.raises(UserError, match="importance matrix"):
        quantize_rows("Q4_K", rows, importance.astype(np.float32))


def test_importance_moves_the_error_to_where_it_matters_less(rows: np.ndarray) -> None:
    importance = np.ones(512, np.float32)
    importance[::2] = 1000
    plain = dequantize_rows("Q2_K", quantize_rows("Q2_K", rows, np.ones(512, np.float32)), 512)
    weighted = dequantize_rows("Q2_K", quantize_rows("Q2_K", rows, importance), 512)
    assert relative_error(weighted[:, ::2], rows[:, ::2]) < relative_error(plain[:, ::2], rows[:, ::2])


def test_buffers_are_reused_and_must_fit(rows: np.ndarray) -> None:
    out = np.empty((6, 288), np.uint8)
    assert quantize_rows("Q4_K", rows, out=out) is out
    with pytest.raises(ValueError, match="shape"):
        quantize_rows("Q4_K", rows, out=out[:, :100])


def test_threads_get_what_one_thread_gets(rows: np.ndarray) -> None:
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda row: quantize_rows("IQ4_XS", row[None]), rows))
    np.testing.assert_array_equal(np.concatenate(parts), quantize_rows("IQ4_XS", rows))


def test_types_without_a_kernel_are_a_mistake_of_the_caller(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Q8_K"):
        quantize_rows("Q8_K", rows)


def test_tables_of_numbers_are_read_but_not_made() -> None:
    numbers = np.arange(8, dtype=np.int32).reshape(2, 4)
    np.testing.assert_array_equal(dequantize_rows("I32", numbers.view(np.uint8), 4), numbers)
    with pytest.raises(ValueError, match="I32"):
        quantize_rows("I32", numbers.astype(np.float32))
