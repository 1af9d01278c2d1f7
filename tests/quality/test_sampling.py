from __future__ import annotations

import numpy as np

from quantgui.quality.sampling import Sampler

LOGITS = np.array([0.0, 2.0, 1.0, -30.0], np.float32)


def test_without_temperature_the_likeliest_token_comes() -> None:
    assert {Sampler(0, seed).choose(LOGITS) for seed in range(5)} == {1}


def test_the_seed_decides_what_comes() -> None:
    first, second = Sampler(1, 7), Sampler(1, 7)
    assert [first.choose(LOGITS) for _ in range(20)] == [second.choose(LOGITS) for _ in range(20)]


def test_tokens_come_as_often_as_they_are_likely() -> None:
    sampler, expected = Sampler(1, 0), np.exp(LOGITS) / np.exp(LOGITS).sum()
    counts = np.bincount([sampler.choose(LOGITS) for _ in range(4000)], minlength=4) / 4000
    np.testing.assert_allclose(counts, expected, atol=0.04)


def test_a_high_temperature_evens_out() -> None:
    sampler = Sampler(50, 0)
    counts = np.bincount([sampler.choose(LOGITS[:3]) for _ in range(3000)], minlength=3) / 3000
    np.testing.assert_allclose(counts, 1 / 3, atol=0.05)
