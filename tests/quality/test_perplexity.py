"""Scores equal the definition, and a model that knows nothing has the perplexity of its vocabulary."""

from types import SimpleNamespace

import pytest
import torch

from quantgui.quality.perplexity import LikelihoodSum, paired_difference, score, windows_at_once

VOCABULARY = 11


class Model:
    """Logits that depend on the token before: a table [vocabulary, vocabulary]."""

    device = torch.device("cpu")
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=VOCABULARY))

    def __init__(self, table: torch.Tensor) -> None:
        self.table = table

    def __call__(self, input_ids: torch.Tensor, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=self.table[input_ids])


def test_equal_logits_give_the_size_of_the_vocabulary():
    ids = torch.arange(100) % VOCABULARY
    result = score(Model(torch.zeros(VOCABULARY, VOCABULARY)), ids, 16, lambda _: None)
    assert result.perplexity == pytest.approx(VOCABULARY, rel=1e-6)
    assert result.perplexity_se == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("length", [64, 65, 66, 5])
def test_every_token_but_a_windows_first_is_scored_once(length):
    generator = torch.Generator().manual_seed(length)
    table = torch.randn(VOCABULARY, VOCABULARY, generator=generator)
    ids = torch.randint(0, VOCABULARY, (length,), generator=generator)
    told: list[int] = []
    result = score(Model(table), ids, 16, told.append)
    log_p = table.log_softmax(1)
    scored = [i for i in range(length) if i % 16]
    expected = -torch.stack([log_p[ids[i - 1], ids[i]] for i in scored])
    assert torch.allclose(torch.cat(result.parts), expected, atol=1e-6)
    assert result.tokens == len(scored)
    assert result.mean == pytest.approx(float(expected.mean()), rel=1e-6)
    assert sum(told) == (length if length % 16 != 1 else length - 1)


def test_the_standard_error_is_that_of_the_mean():
    nll = torch.rand(1000, generator=torch.Generator().manual_seed(1)) * 4
    sums = LikelihoodSum()
    sums.add(nll[:300])
    sums.add(nll[300:])
    assert sums.perplexity == pytest.approx(float(nll.double().mean().exp()))
    assert sums.perplexity_se == pytest.approx(float(nll.double().std() / 1000**0.5 * nll.double().mean().exp()))


def test_windows_are_batched_by_the_size_of_their_logits():
    assert windows_at_once(512, 4096) == 32
    assert windows_at_once(8192, 256_000) == 1


def sums(values: torch.Tensor) -> LikelihoodSum:
    result = LikelihoodSum()
    for part in values.split(7):
        result.add(part)
    return result


def test_a_paired_difference_is_far_surer_than_either_value():
    generator = torch.Generator().manual_seed(1)
    before = torch.rand(1000, generator=generator) * 8
    after = before + 0.01 + 0.002 * torch.randn(1000, generator=generator)
    mean, error = paired_difference(sums(after), sums(before))
    assert mean == pytest.approx(float((after - before).mean()), rel=1e-4)
    assert error == pytest.approx(float((after - before).std() / 1000**0.5), rel=1e-4)
    assert abs(mean - 0.01) < 4 * error < float(before.std() / 1000**0.5) / 10
    backward, _ = paired_difference(sums(before), sums(after))
    assert backward == pytest.approx(-mean)


def test_only_the_same_tokens_are_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference(sums(torch.ones(3)), sums(torch.ones(4)))
