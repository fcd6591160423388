"""MM1's laws and schedule."""

import pytest
import torch

from trainer.config import OptimizerConfig
from trainer.loop.schedule import pace, peak_learning_rate, peak_of, torch_weight_decay

# McKinzie et al. 2024, table 5 and the fit of section 3.3: rates of 9 M to 30 B, rounded.
LAW = {85e6: 2.6e-4, 302e6: 1.5e-4, 1.2e9: 8.6e-5, 2.9e9: 5.9e-5, 6.4e9: 4.2e-5, 30e9: 2.2e-5}


@pytest.mark.parametrize(("parameters", "rate"), LAW.items())
def test_law_gives_the_rates_of_the_paper(parameters: float, rate: float) -> None:
    assert peak_learning_rate(int(parameters)) == pytest.approx(rate, rel=0.03)


def test_given_rate_wins_over_the_law() -> None:
    assert peak_of(OptimizerConfig(learning_rate=0.5), 10**9) == 0.5
    assert peak_of(OptimizerConfig(), 10**9) == peak_learning_rate(10**9)


def test_schedule_warms_up_and_ends_at_a_tenth() -> None:
    config = OptimizerConfig(steps=1000, warmup_steps=100)
    assert pace(config, 0) == 0.01
    assert pace(config, 99) == 1
    assert pace(config, 100) == 1
    assert pace(config, 550) == pytest.approx(0.55)
    assert pace(config, 1000) == pytest.approx(0.1)
    assert pace(config, 5000) == pytest.approx(0.1)


@pytest.mark.parametrize("factor", [1.0, 0.1])
@pytest.mark.parametrize("now", [1.0, 0.25])
def test_a_step_decays_by_schedule_times_decay(factor: float, now: float) -> None:
    config = OptimizerConfig(learning_rate=6e-5, weight_decay=0.02)
    weight = torch.nn.Parameter(torch.ones(4, 4, dtype=torch.float64))
    decay = torch_weight_decay(config, 6e-5, factor)
    optimizer = torch.optim.AdamW([weight], lr=6e-5 * factor * now, weight_decay=decay)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    assert weight.detach().numpy() == pytest.approx(1 - now * 0.02)


def test_decay_is_a_tenth_of_the_rate_by_default() -> None:
    config = OptimizerConfig()
    assert torch_weight_decay(config, 6e-5, 1.0) * 6e-5 == pytest.approx(0.1 * 6e-5)
