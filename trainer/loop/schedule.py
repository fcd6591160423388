"""MM1's laws of the learning rate and the weight decay, and the schedule (section 3.3).

MM1's decay is decoupled from the learning rate: a step takes `schedule x decay` of a weight, where
torch's AdamW takes `rate x decay`. `torch_weight_decay` translates.
"""

import math

from trainer.config import OptimizerConfig


def peak_learning_rate(parameters: int) -> float:
    """exp(-0.4214 ln N - 0.5535), N the decoder's parameters without embeddings."""
    return math.exp(-0.4214 * math.log(parameters) - 0.5535)


def peak_of(config: OptimizerConfig, parameters: int) -> float:
    """The highest learning rate of a training."""
    return config.learning_rate or peak_learning_rate(parameters)


def torch_weight_decay(config: OptimizerConfig, peak: float, factor: float) -> float:
    """What torch's AdamW takes so that a step shrinks weights by `schedule x decay`.

    Args:
        config: Its `weight_decay` is MM1's lambda; -1: 0.1 x the peak.
        peak: The highest learning rate.
        factor: Of the learning rate of the component.
    """
    decay = 0.1 * peak if config.weight_decay < 0 else config.weight_decay
    return decay / (peak * factor)


def pace(config: OptimizerConfig, step: int) -> float:
    """The learning rate of a step, from 0, relative to the peak: warm-up, then a cosine."""
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    low = config.final_fraction
    return low + (1 - low) * (1 + math.cos(math.pi * min(1.0, done))) / 2
