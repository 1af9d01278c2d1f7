"""llama.cpp's perplexity of a GGUF file is, within 1 %, that of its dequantized weights in transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from bench import gguf_perplexity

from quantgui.checkpoint.resolve import demo_checkpoint
from quantgui.quality.perplexity import LikelihoodSum
from quantgui.quality.text import bundled_text, read_text, tokenize

pytestmark = pytest.mark.slow

CONTEXT = 128


@pytest.mark.parametrize("scheme", ["GGUF-F16", "Q4_K_M"])
def test_both_find_the_same_perplexity(scheme: str, tmp_path: Path) -> None:
    text = read_text(bundled_text("evaluation"))[:10_000]
    ids = tokenize(Path(demo_checkpoint().path), text)[: 8 * CONTEXT]
    ours, theirs = gguf_perplexity.both_scores(gguf_perplexity.convert(tmp_path, scheme), ids, CONTEXT)
    assert ours.tokens == theirs.tokens == len(ids) // CONTEXT * (CONTEXT - 1)
    assert 1 < ours.perplexity < 60
    assert abs(gguf_perplexity.relative_difference(ours, theirs)) <= 0.01


def test_a_model_is_only_better_beyond_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    other = torch.rand(1000, generator=generator)
    noise = 0.1 * torch.randn(1000, generator=generator)

    def scored(values: torch.Tensor) -> LikelihoodSum:
        result = LikelihoodSum()
        result.add(values)
        return result

    assert not gguf_perplexity.is_better(scored(other + noise), scored(other))
    assert gguf_perplexity.is_better(scored(other - 0.02 + noise), scored(other))
    assert not gguf_perplexity.is_better(scored(other + 0.02 + noise), scored(other))
