"""The model over the ranks, by FSDP2: a unit a decoder layer, the encoder, and the rest."""

from collections.abc import Callable
from typing import Any, TypeVar

import psutil
import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from trainer.config import TrainConfig
from trainer.loop.world import World

Measures = TypeVar("Measures")

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def shard_model(model: Any, config: TrainConfig, mesh: DeviceMesh) -> None:
    """Cut the parameters over the ranks, in place.

    Gradients are summed, not averaged: the loop divides by the count of tokens of all ranks. Gloo
    has no division of its own, so the sum is asked for by name too.
    """
    precision = MixedPrecisionPolicy(
        param_dtype=_DTYPES[config.run.precision], reduce_dtype=torch.float32
    )
    for layer in model.decoder_layers():
        fully_shard(layer, mesh=mesh, mp_policy=precision)
    fully_shard(model.vision, mesh=mesh, mp_policy=precision)
    fully_shard(model, mesh=mesh, mp_policy=precision)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def gather_no_longer(model: Any) -> None:
    """Cut parameters again that a forward pass without a backward pass left whole.

    An optimizer made of them would train copies.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def build_sharded(
    build: Callable[[], Any], measure: Callable[[Any], Measures], config: TrainConfig, world: World
) -> tuple[Any, Measures]:
    """Build the model on every rank, as many at a time as this machine's memory holds.

    Args:
        build: Makes the whole model on the CPU; the same on every rank.
        measure: Looks at it before it is cut.
        config: Precision.
        world: The ranks.

    Returns:
        The model on its device, and what `measure` saw.
    """
    if not world.is_grouped:
        whole = build()
        return whole.to(world.device), measure(whole)
    mesh = init_device_mesh(world.device.type, (world.ranks,))
    model: Any = None
    measures: Any = None

    def build_here() -> int:
        nonlocal model, measures
        model = build()
        measures = measure(model)
        size: int = sum(each.numel() * each.element_size() for each in model.parameters())
        shard_model(model, config, mesh)
        model.to(world.device)  # buffers, and what no unit holds
        return size

    # The first rank of each machine alone, which tells how large the model is; then the others.
    size = build_here() if world.local_rank == 0 else 0
    largest = world.highest(torch.tensor([size, world.local_ranks], device=world.device))
    fits = int(0.8 * psutil.virtual_memory().available // max(1, int(largest[0])))
    at_once = max(1, -int(world.highest(torch.tensor([-fits], device=world.device))))
    for turn in range(1, int(largest[1]), at_once):
        if turn <= world.local_rank < turn + at_once:
            build_here()
        world.wait()
    return model, measures
