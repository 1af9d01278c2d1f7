"""Which token follows: the likeliest, or one drawn by its probability."""

from __future__ import annotations

import numpy as np


class Sampler:
    """Draws tokens from logits. The same seed and the same logits give the same tokens, whatever computed them."""

    def __init__(self, temperature: float, seed: int) -> None:
        """`temperature` 0 takes the likeliest token; 1 the model's own probabilities; above, more surprising ones."""
        self._temperature = temperature
        self._random = np.random.default_rng(seed)

    def choose(self, logits: np.ndarray) -> int:
        """A token for logits float [vocabulary]."""
        if self._temperature <= 0:
            return int(logits.argmax())
        scaled = (logits.astype(np.float64) - logits.max()) / self._temperature
        cumulated = np.cumsum(np.exp(scaled))
        return int(np.searchsorted(cumulated, self._random.random() * cumulated[-1], side="right"))
