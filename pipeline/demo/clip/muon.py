"""An optimiser for the matrices of small transformers on a CPU."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Coefficients of the quintic Newton-Schulz iteration, as Jordan chose them: in five rounds singular
# values that are not tiny come close to 1, and none goes far beyond it.
_LINEAR, _CUBIC, _QUINTIC = 3.4445, -4.7750, 2.0315
_ROUNDS = 5


def orthogonalized(matrices: "torch.Tensor") -> "torch.Tensor":
    """Each matrix [n, rows, columns] with all its singular values brought close to 1."""
    wide = matrices.size(-2) <= matrices.size(-1)
    x = matrices if wide else matrices.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_ROUNDS):
        square = x @ x.mT
        x = _LINEAR * x + (_CUBIC * square + _QUINTIC * square @ square) @ x
    found: torch.Tensor = x if wide else x.mT
    return found


def _gradient(matrix: "torch.nn.Parameter") -> "torch.Tensor":
    assert matrix.grad is not None
    return matrix.grad


class Muon:
    """Momentum made orthogonal (Jordan 2024), in steps as large as AdamW's (Liu et al. 2025).

    As `torch.optim.Muon`, which takes matrix by matrix, in bfloat16. Here matrices of one shape go
    together, in float32: what a CPU is fast at.
    """

    def __init__(
        self, matrices: "Iterable[torch.nn.Parameter]", weight_decay: float, momentum: float = 0.95
    ) -> None:
        import torch

        by_shape: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
        for matrix in matrices:
            by_shape.setdefault(tuple(matrix.shape), []).append(matrix)
        self._groups = list(by_shape.values())
        self._means = [torch.zeros(len(group), *group[0].shape) for group in self._groups]
        self._weight_decay = weight_decay
        self._momentum = momentum

    def step(self, rate: float) -> None:
        """Moves every matrix by its gradient, which all of them must have."""
        import torch

        for group, mean in zip(self._groups, self._means, strict=True):
            gradient = torch.stack([_gradient(matrix) for matrix in group])
            mean.lerp_(gradient, 1 - self._momentum)
            steps = orthogonalized(gradient.lerp(mean, self._momentum))
            size = 0.2 * rate * math.sqrt(max(group[0].shape))
            with torch.no_grad():
                for matrix, step in zip(group, steps, strict=True):
                    matrix.mul_(1 - rate * self._weight_decay).add_(step, alpha=-size)
