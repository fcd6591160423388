"""The training loop and what stands around it: ranks, optimizer, checkpoints, metrics."""
