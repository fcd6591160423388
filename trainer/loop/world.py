"""The ranks of a training: who computes where, and how they are joined.

`torchrun` starts a process a GPU and tells each its place in the environment. Without it there is
one rank. A group of one is made where mixed precision is asked for, because it is FSDP that casts.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import HashStore

from schemas.errors import RecipeError
from trainer.config import TrainConfig

TIMEOUT = timedelta(minutes=30)


@dataclass(frozen=True)
class World:
    """One rank among all."""

    rank: int
    ranks: int
    local_rank: int
    local_ranks: int
    """Ranks on this machine."""
    device: torch.device
    is_grouped: bool
    """Whether there is a process group, and so FSDP."""

    @property
    def is_first(self) -> bool:
        """Whether this rank is the one that writes and speaks."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all ranks, in place."""
        if self.ranks > 1:
            dist.all_reduce(values)
        return values

    def highest(self, values: torch.Tensor) -> torch.Tensor:
        """The maximum over all ranks, in place."""
        if self.ranks > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    def gather(self, rows: list[Any]) -> list[Any]:
        """The rows of all ranks, rank by rank."""
        if self.ranks == 1:
            return rows
        found: list[Any] = [None] * self.ranks
        dist.all_gather_object(found, rows)
        return [row for each in found for row in each]

    def wait(self) -> None:
        """Come back when every rank is here."""
        if self.ranks > 1:
            dist.barrier()


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


def check_world(config: TrainConfig, ranks: int, has_gpu: bool) -> None:
    """Refuse a world that cannot hold the model or cut the batch, before anything is loaded.

    Raises:
        RecipeError: Too few GPUs, or a global batch that does not divide.
    """
    needed = config.run.min_gpus
    if needed and (not has_gpu or ranks < needed):
        there = f"{ranks} GPU{'s' * (ranks > 1)}" if has_gpu else "no GPU"
        raise RecipeError(
            f"run.min_gpus: this model takes {needed} GPUs of 80 GB, and here is {there}: start it "
            f"with torchrun --nproc-per-node on larger machines, or set run.min_gpus=0 to try"
        )
    at_once = ranks * config.data.micro_batch
    if config.data.global_batch % at_once:
        raise RecipeError(
            f"data.global_batch: {config.data.global_batch} packs are no multiple of {ranks} ranks "
            f"x data.micro_batch {config.data.micro_batch}"
        )


def join_world(config: TrainConfig) -> World:
    """Join the other ranks, on the device of this one.

    Raises:
        RecipeError: As of `check_world`.
    """
    rank, ranks = _number("RANK", 0), _number("WORLD_SIZE", 1)
    local_rank = _number("LOCAL_RANK", 0)
    has_gpu = torch.cuda.is_available()
    check_world(config, ranks, has_gpu)
    device = torch.device("cuda", local_rank) if has_gpu else torch.device("cpu")
    if has_gpu:
        torch.cuda.set_device(device)
    is_grouped = ranks > 1 or config.run.precision != "fp32"
    if is_grouped and not dist.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if has_gpu else "gloo"
        if ranks > 1:
            dist.init_process_group(backend, timeout=TIMEOUT)
        else:
            dist.init_process_group(backend, store=HashStore(), rank=0, world_size=1)
    return World(rank, ranks, local_rank, _number("LOCAL_WORLD_SIZE", 1), device, is_grouped)


def leave_world() -> None:
    """Give the group back."""
    if dist.is_initialized():
        dist.destroy_process_group()
