"""Perplexity of a GGUF file in llama.cpp, in the same windows as that of other models."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil

from quantgui.formats.gguf.runtime.llama import LlamaModel
from quantgui.pipeline.llama_check import check_continues
from quantgui.quality.perplexity import LikelihoodSum

if TYPE_CHECKING:
    import torch

LOGITS_BYTES = 64 * 2**20
"""Most memory for logits that are looked at together."""


def score_gguf(
    model: LlamaModel, ids: torch.Tensor, context: int, on_tokens: Callable[[int], None], threads: int | None = None
) -> LikelihoodSum:
    """Scores token ids [n] in contiguous windows of `context`, each token but a window's first given those before it.

    A shorter rest at the end is scored as well. The cache and attention are llama.cpp's defaults, as people run it.
    Raises UserError for models with an encoder.
    """
    import torch

    check_continues(model)
    result = LikelihoodSum()
    batch = max(1, min(context, LOGITS_BYTES // (4 * model.vocabulary_size)))
    with model.context(context, batch=batch, threads=threads or psutil.cpu_count(logical=False) or 1) as running:
        for window in ids.split(context):
            if len(window) < 2:
                continue
            running.clear()
            tokens = window.tolist()
            for start in range(0, len(tokens), batch):
                part = tokens[start : start + batch]
                targets = window[start + 1 : start + 1 + len(part)]
                logits = torch.from_numpy(running.logits(part, every=True))[: len(targets)]
                if len(targets):
                    result.add(torch.nn.functional.cross_entropy(logits, targets, reduction="none"))
                on_tokens(len(part))
    return result
