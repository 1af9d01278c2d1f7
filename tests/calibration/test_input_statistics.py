"""Statistics of inputs do not depend on how the text is cut into samples, and the sample is spread over all of it."""

import torch

from quantgui.calibration.input_statistics import SAMPLE_TOKENS, InputStatistics

CPU = torch.device("cpu")


def of(*parts: torch.Tensor) -> InputStatistics:
    statistics = InputStatistics(parts[0].shape[1], CPU)
    for part in parts:
        statistics.add(part)
    return statistics


def test_magnitudes_and_hessian_are_those_of_all_inputs():
    inputs = torch.randn(300, 8, generator=torch.Generator().manual_seed(0))
    for statistics in (of(inputs), of(*inputs.split(70))):
        assert statistics.tokens == 300
        torch.testing.assert_close(statistics.mean, inputs.abs().mean(dim=0))
        assert torch.equal(statistics.largest, inputs.abs().amax(dim=0))
        torch.testing.assert_close(statistics.hessian.matrix, 2 / 300 * inputs.T @ inputs)
        assert torch.equal(statistics.sample, inputs)


def test_the_sample_of_a_long_text_is_every_nth_token():
    numbers = torch.arange(9000.0).unsqueeze(1)
    sample = of(*numbers.split(700)).sample[:, 0]
    steps = sample.diff().unique()
    assert SAMPLE_TOKENS <= len(sample) <= 2 * SAMPLE_TOKENS
    assert len(steps) == 1
    assert sample[0] == 0
    assert sample[-1] > 9000 - 2 * float(steps)
