"""Batch normalisation over the batches of all processes, on any device and backend (PyTorch's own needs CUDA)."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from backbones.layers import BatchNorm


class SyncBatchNorm(BatchNorm):
    """`BatchNorm` whose training statistics are those of all processes' activations together.

    In one process, frozen, or in evaluation it is `BatchNorm` itself.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))  # half precision is too coarse for statistics
        var, mean, count = self._joint_statistics(values)
        self._update_running(var.detach(), mean.detach(), count)
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        column = (-1, 1, 1, 1)
        return (values * scale.view(column) + shift.view(column)).to(x.dtype)

    @staticmethod
    def _joint_statistics(x: Tensor) -> tuple[Tensor, Tensor, float]:
        """(C,) biased variance and mean over all processes, and how many values each is of.

        mean = sum_r n_r mean_r / n        var = sum_r n_r (var_r + (mean_r - mean)^2) / n
        """
        var, mean = torch.var_mean(x, dim=(0, 2, 3, 4), correction=0)
        n = mean.new_full((1,), float(x.numel() // x.shape[1]))
        rows = gather_rows(torch.cat([n, var, mean]))  # (world, 1 + 2 C)
        n, var, mean = rows.split([1, x.shape[1], x.shape[1]], dim=1)
        share = n / n.sum()
        joint_mean = (share * mean).sum(0)
        joint_var = (share * (var + (mean - joint_mean) ** 2)).sum(0)
        return joint_var, joint_mean, n.detach().sum().item()

    @torch.no_grad()
    def _update_running(self, var: Tensor, mean: Tensor, count: float) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (count / max(count - 1, 1)), self.momentum)


class _SumOverRanks(torch.autograd.Function):
    """The sum over processes; each one's gradient reaches all of them."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad


def gather_rows(row: Tensor) -> Tensor:
    """(world, n): the (n,) tensors of all processes, differentiable."""
    table = row.new_zeros((dist.get_world_size(), len(row)))
    index = torch.tensor([dist.get_rank()], device=row.device)
    return _SumOverRanks.apply(table.index_copy(0, index, row[None]))


def sync_batch_norm(module: nn.Module) -> None:
    """Make every `BatchNorm` of `module` one over all processes, keeping its parameters and statistics."""
    for child in module.modules():
        if type(child) is BatchNorm:
            child.__class__ = SyncBatchNorm  # the same attributes; another forward
