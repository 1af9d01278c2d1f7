"""Perplexity of a causal language model on a text, with its standard error.

The text is cut into contiguous windows of `context` tokens; every token but a window's first is scored given those
before it in its window (the convention of the GPTQ and AWQ papers). perplexity = exp(mean negative log-likelihood); its
standard error follows from that of the mean by the delta method: perplexity * std / sqrt(tokens), as llama.cpp's
llama-perplexity prints it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LOGITS_BYTES = 256 * 2**20
"""Most memory for the logits of windows that are evaluated together."""


@dataclass
class LikelihoodSum:
    """Negative log-likelihoods in nats per token, accumulated in double precision."""

    tokens: int = 0
    total: float = 0.0
    squares: float = 0.0
    parts: list[torch.Tensor] = field(default_factory=list)  # float32, in the order of the text

    def add(self, nll: torch.Tensor) -> None:
        """Adds the values of some tokens [n]."""
        values = nll.double()
        self.tokens += nll.numel()
        self.total += float(values.sum())
        self.squares += float(values.dot(values))
        self.parts.append(nll.float().cpu())

    @property
    def mean(self) -> float:
        """Mean negative log-likelihood in nats; NaN before the first token."""
        return self.total / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        """exp(mean), infinity where that overflows."""
        return math.exp(self.mean) if self.mean < 700 else math.inf

    @property
    def perplexity_se(self) -> float:
        """Standard error of the perplexity; NaN below two tokens."""
        if self.tokens < 2:
            return math.nan
        variance = max(0.0, self.squares / self.tokens - self.mean**2) * self.tokens / (self.tokens - 1)
        return self.perplexity * math.sqrt(variance / self.tokens)


def paired_difference(after: LikelihoodSum, before: LikelihoodSum) -> tuple[float, float]:
    """Mean of after minus before in nats per token, and the standard error of that mean, paired token by token.

    Two models fail at the same tokens, so the error of the difference is far smaller than that of either value.
    Raises ValueError where they were not scored on the same number of tokens.
    """
    import torch

    if after.tokens != before.tokens:
        raise ValueError(f"{after.tokens} and {before.tokens} tokens cannot be paired")
    if after.tokens < 2:
        return math.nan, math.nan
    difference = torch.cat(after.parts).double() - torch.cat(before.parts).double()
    return float(difference.mean()), float(difference.std() / math.sqrt(len(difference)))


def windows_at_once(context: int, vocabulary: int) -> int:
    """How many windows are evaluated together so that their float32 logits stay below LOGITS_BYTES."""
    return max(1, LOGITS_BYTES // (4 * context * max(1, vocabulary)))


def score(model: Any, ids: torch.Tensor, context: int, on_tokens: Callable[[int], None]) -> LikelihoodSum:
    """Scores token ids [n] in windows of `context`; a shorter rest at the end is scored as well.

    `model` is a transformers causal LM. `on_tokens` is told how many tokens of the text are done.
    """
    import torch

    result = LikelihoodSum()
    whole = len(ids) // context * context
    together = windows_at_once(context, int(getattr(model.config.get_text_config(), "vocab_size", 1)))
    batches = list(ids[:whole].view(-1, context).split(together)) if whole else []
    if len(ids) - whole > 1:
        batches.append(ids[whole:].unsqueeze(0))
    with torch.inference_mode():
        for batch in batches:
            logits = model(input_ids=batch.to(model.device), use_cache=False).logits
            predicted = logits[:, :-1].float().reshape(-1, logits.shape[-1])
            targets = batch[:, 1:].reshape(-1).to(predicted.device)
            result.add(torch.nn.functional.cross_entropy(predicted, targets, reduction="none"))
            on_tokens(batch.numel())
    return result
