"""Batch normalisation over the images of all workers."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SharedBatchNorm", "share_normalisation"]


def share_normalisation(network: nn.Module) -> None:
    """Make every batch normalisation use all workers' images; names and values in the state stay as they are.

    On a GPU this is torch's own, which there is for no other device.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, _shared(child))


def _shared(norm: nn.BatchNorm2d) -> nn.Module:
    if norm.weight.is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(norm)  # type: ignore[no-any-return]
    shared = SharedBatchNorm(norm.num_features, norm.eps, norm.momentum)
    for name, value in [*norm.named_parameters(), *norm.named_buffers()]:
        setattr(shared, name, value)
    return shared


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with the moments of all workers' images, in training."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        out, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
            self.running_mean.lerp_(mean, self.momentum)  # type: ignore[union-attr, arg-type]
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)  # type: ignore[union-attr, arg-type]
        return out  # type: ignore[no-any-return]


class _Normalise(torch.autograd.Function):
    """From (N, C, H, W) to itself normalised, the (C,) moments over all workers, and how many values they are of."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        mine = torch.var_mean(x.to(weight.dtype), (0, 2, 3), correction=0)
        sent = torch.cat([*mine, weight.new_tensor([x.numel() // x.shape[1]])])
        each = [torch.empty_like(sent) for _ in range(dist.get_world_size())]
        dist.all_gather(each, sent)
        variances, means, counts = torch.stack(each).split([x.shape[1], x.shape[1], 1], 1)
        shares = counts / counts.sum()
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean) ** 2)).sum(0)
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        ctx.count = counts.sum()
        ctx.mark_non_differentiable(mean, variance, ctx.count)
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps), mean, variance, ctx.count

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Of Ioffe & Szegedy 2015, section 3, with the sums over the batch taken over all workers' images."""
        x, weight, mean, scale = ctx.saved_tensors
        slopes = grad.to(weight.dtype)
        normal = (x.to(weight.dtype) - mean[:, None, None]) * scale[:, None, None]
        mine = torch.stack([(slopes * normal).sum((0, 2, 3)), slopes.sum((0, 2, 3))])
        sums = mine.clone()
        dist.all_reduce(sums)
        by_scale, by_shift = (sums / ctx.count)[:, :, None, None]
        slopes = (slopes - by_shift - normal * by_scale) * (weight * scale)[:, None, None]
        return slopes.to(x.dtype), mine[0], mine[1], None
