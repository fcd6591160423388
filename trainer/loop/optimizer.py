"""AdamW with a learning rate a component, and the two checks that stop a run before it steps."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from schemas.errors import TrainingError
from trainer.config import TrainConfig
from trainer.loop.schedule import pace, peak_of, torch_weight_decay

COMPONENTS = ("vision", "connector", "decoder")


def make_optimizer(model: nn.Module, config: TrainConfig, parameters: int) -> torch.optim.AdamW:
    """One optimizer; a group for each component, with and without weight decay.

    Vectors (biases, norms) are not decayed.

    Args:
        model: With children `vision`, `connector`, `decoder`.
        config: Rates and factors.
        parameters: The decoder's, without embeddings, for the law of the learning rate.
    """
    peak = peak_of(config.optimizer, parameters)
    groups: list[dict[str, Any]] = []
    for name in COMPONENTS:
        factor = getattr(config, name).learning_rate
        weights = [p for p in getattr(model, name).parameters() if p.requires_grad]
        decay = torch_weight_decay(config.optimizer, peak, factor)
        for chosen, amount in (
            ([p for p in weights if p.ndim > 1], decay),
            ([p for p in weights if p.ndim <= 1], 0.0),
        ):
            if chosen:
                peak_here = peak * factor
                groups.append(
                    {"params": chosen, "weight_decay": amount, "lr": peak_here, "peak": peak_here}
                )
    on_gpu = any(p.is_cuda for group in groups for p in group["params"])
    return torch.optim.AdamW(
        groups, betas=config.optimizer.betas, eps=config.optimizer.epsilon, fused=on_gpu or None
    )


def set_pace(optimizer: torch.optim.Optimizer, config: TrainConfig, step: int) -> float:
    """Set the learning rates of a step; returns the schedule's value."""
    now = pace(config.optimizer, step)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * now
    return now


def parameters_without_gradient(model: nn.Module) -> Iterator[str]:
    """Names of trainable parameters that the backward pass did not reach."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and weight.grad is None:
            yield name


def check_gradients(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Refuse to go on where a trainable parameter has no gradient.

    Its optimizer state would be missing, on this rank only, and the checkpoint could not be read.

    Raises:
        TrainingError: Names them.
    """
    trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    held = {id(weight) for weight in model.parameters() if weight.requires_grad}
    assert trained == held, "the optimizer has other parameters than the model"
    if missing := list(parameters_without_gradient(model)):
        raise TrainingError(
            f"no gradient reached {len(missing)} trainable parameters: {', '.join(missing[:5])}; "
            "freeze what the loss does not depend on"
        )


def divide_gradients(model: nn.Module, count: float) -> None:
    """Turn gradients of a sum into those of a mean."""
    for weight in model.parameters():
        if weight.grad is not None:
            weight.grad.mul_(1 / count)


def clip_gradients(model: nn.Module, highest: float) -> float:
    """Scale gradients so that their norm is at most `highest`; returns the norm before."""
    weights = [weight for weight in model.parameters() if weight.grad is not None]
    norm: Any = torch.nn.utils.clip_grad_norm_(weights, highest)
    whole = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return float(whole)
