"""Our vectorized kernels against ggml's scalar ones: the same bytes on ordinary and on extreme weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from quantgui.compiled import compiled_folder
from quantgui.formats.gguf import kernels
from quantgui.formats.gguf.kernels import ggml, quantize_rows, vectorized
from quantgui.formats.gguf.kernels.vectorized import MODULES, is_worth_it, vectorized_kernel
from quantgui.schemes.ggml_types import BY_NAME

COLUMNS = 768


@pytest.fixture(scope="module", autouse=True)
def compiled_code(request: pytest.FixtureRequest) -> Iterator[None]:
    """The compiled functions are kept from one run of the tests to the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(request.config.cache.mkdir("numba")))  # type: ignore[union-attr]
        compiled_folder.cache_clear()
        vectorized_kernel.cache_clear()
        yield
    compiled_folder.cache_clear()
    vectorized_kernel.cache_clear()


def cases() -> dict[str, np.ndarray]:
    """Weights [21, 768]: not a whole number of batches, and a row is not one either."""
    random = np.random.default_rng(7)

    def normal(spread: float = 0.02) -> np.ndarray:
        return random.normal(0, spread, (21, COLUMNS))

    sparse, outliers = normal(), normal(1e-7)
    sparse[random.random(sparse.shape) < 0.9] = 0
    outliers[:, ::64] = 1
    exponents = random.uniform(-44, 4, (21, COLUMNS))
    found = {
        "normal": normal(),
        "heavy tails": random.standard_t(2, (21, COLUMNS)) * 0.02,
        "positive": abs(normal()),
        "negative": -abs(normal()),
        "shifted": normal(0.01) - 1,
        "integers": np.round(normal(3)),
        "signs": np.sign(normal()),
        "sparse": sparse,
        "outliers": outliers,
        "zeros": np.zeros((21, COLUMNS)),
        "minus zeros": -np.zeros((21, COLUMNS)),
        "constant sub-blocks": np.repeat(normal(1)[:, : COLUMNS // 16], 16, 1),
        "ramp": np.tile(np.arange(COLUMNS) / COLUMNS, (21, 1)),
        "every size": normal(1) * 10.0**exponents,
        "rows of every size": normal(1) * 10.0 ** exponents[:, :1],
        "denormal": normal(1) * 1e-41,
        "tiny": normal(1) * 1e-16,
        "large": normal(1) * 1e4,
    }
    return {name: values.astype(np.float32) for name, values in found.items()}


def importances() -> dict[str, np.ndarray | None]:
    random = np.random.default_rng(8)
    holes = random.random(COLUMNS)
    holes[random.random(COLUMNS) < 0.3] = 0
    wide = 10.0 ** random.uniform(-8, 4, COLUMNS)
    arrays = {"even": random.random(COLUMNS), "wide": wide, "holes": holes, "zero": np.zeros(COLUMNS)}
    return {"none": None, **{name: values.astype(np.float32) for name, values in arrays.items()}}


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_bytes_are_those_of_ggml(name: str, weighted: bool) -> None:
    library, kernel, kind = ggml.ggml_library(), vectorized_kernel(name, weighted), BY_NAME[name]
    assert library is not None and (kernel is not None or weighted)
    if kernel is None:
        pytest.skip(f"ggml searches {name} in another way with importances, which is left to it")
    different = []
    for case, rows in cases().items():
        for kind_of_importance, importance in importances().items():
            if (importance is not None) != weighted:
                continue
            expected = np.empty((len(rows), kind.nbytes(COLUMNS)), np.uint8)
            ggml.quantize(library, kind, rows, importance, expected)
            out = np.zeros((rows.size // kind.block_elements, kind.block_bytes), np.uint8)
            kernel(rows.reshape(-1), importance, out)
            if not np.array_equal(out, expected.reshape(out.shape)):
                different.append((case, kind_of_importance))
    assert not different


def test_a_run_uses_what_it_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def kernel(values: np.ndarray, importance: np.ndarray | None, out: np.ndarray) -> None:
        calls.append(values.shape)
        out[:] = 0

    monkeypatch.setattr(kernels, "_prepared", {})
    monkeypatch.setattr(kernels, "vectorized_kernel", lambda name, weighted: kernel if name == "Q4_K" else None)
    assert kernels.prepare({"Q4_K": 10**9, "Q5_K": 10**9, "Q8_0": 10**9}, weighted=False) == ("Q4_K",)
    rows = np.ones((3, 512), np.float32)
    quantize_rows("Q4_K", rows)
    quantize_rows("Q4_K", rows, np.ones(512, np.float32))  # prepared without importances only
    quantize_rows("Q4_K", rows * 70000)  # too large to be sure of
    quantize_rows("Q6_K", rows)
    assert calls == [(1536,)]


@pytest.mark.slow
def test_without_ggml_they_serve_any_number_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = cases()["normal"]
    with_ggml = quantize_rows("Q6_K", rows)
    monkeypatch.setattr(kernels, "_prepared", {})
    monkeypatch.setattr(ggml, "ggml_library", lambda: None)
    assert kernels.missing_kernels(["Q8_0", "Q6_K", "IQ4_XS"]) == ("IQ4_XS",)
    assert kernels.prepare({"Q6_K": 1, "Q8_0": 1}, weighted=False) == ("Q6_K",)
    np.testing.assert_array_equal(quantize_rows("Q6_K", rows), with_ggml)


def test_a_cache_that_cannot_be_written_leaves_the_work_to_ggml(monkeypatch: pytest.MonkeyPatch) -> None:
    class Compiled:
        def quantize(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(vectorized, "compiled_module", lambda name: Compiled())
    assert vectorized_kernel.__wrapped__("Q6_K", False) is None


def test_few_weights_are_not_worth_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantgui.compiled.compiled_folder", lambda: tmp_path)
    assert not is_worth_it("Q4_K", False, 10**7)
    assert is_worth_it("Q4_K", False, 10**9)
    assert is_worth_it("Q8_0", False, 10**9) and not is_worth_it("Q8_0", False, 10**8)
    assert not is_worth_it("Q5_0", False, 10**9)
    (tmp_path / "Q4_K.compiled").touch()
    assert is_worth_it("Q4_K", False, 10**7)
    assert not is_worth_it("Q4_K", True, 10**7)
    assert not is_worth_it("Q4_K", False, 10**5)
