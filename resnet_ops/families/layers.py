"""Parts that blocks of several families share."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

__all__ = ["SelfAttention", "SqueezeExcitation", "run_blocks"]


class SqueezeExcitation(nn.Module):
    """Scale each channel by what all channels' means say (Hu et al. 2017)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(means))))


class SelfAttention(nn.Module):
    """Four-headed attention over all pixels with relative positions (Srinivas et al. 2021, figure 4).

    Takes and gives (N, channels, H, W), H and W at most `side`.
    """

    HEADS = 4

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.scale = (channels // self.HEADS) ** -0.5
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.rows = nn.Parameter(torch.randn(2 * side - 1, channels // self.HEADS) * self.scale)
        self.columns = nn.Parameter(torch.randn(2 * side - 1, channels // self.HEADS) * self.scale)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        if max(height, width) > self.side:
            raise ValueError(f"a map of {height}x{width} is larger than attention allows: {self.side}")
        # (N, heads, pixels, channels / heads) each
        query, key, value = self.qkv(x).flatten(2).view(n, 3, self.HEADS, -1, height * width).mT.unbind(1)
        grid = query.view(n, self.HEADS, height, width, -1)
        vertical = torch.einsum("nhyxd,yvd->nhyxv", grid, _between(self.rows, height))
        horizontal = torch.einsum("nhyxd,xud->nhyxu", grid, _between(self.columns, width))
        position = (vertical[..., :, None] + horizontal[..., None, :]).flatten(4).flatten(2, 3)
        weights = ((query @ key.mT + position) * self.scale).softmax(-1)
        out: Tensor = weights @ value
        return out.mT.reshape(n, channels, height, width)


def _between(table: Tensor, length: int) -> Tensor:
    """(length, length, d): embeddings of the way from each place to each other; the middle is no way at all."""
    places = torch.arange(length, device=table.device)
    return table[places[None, :] - places[:, None] + len(table) // 2]


def run_blocks(blocks: nn.Sequential, x: Tensor, checkpointing: bool) -> Tensor:
    """The blocks one after the other; with `checkpointing`, only their inputs are kept for the way back."""
    if not (checkpointing and blocks.training and torch.is_grad_enabled()):
        return blocks(x)  # type: ignore[no-any-return]
    for block in blocks:

        def contexts(
            block: nn.Module = block,
        ) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
            return nullcontext(), _moments_at_rest(block)

        x = checkpoint(block, x, use_reentrant=False, context_fn=contexts)
    return x


@contextmanager
def _moments_at_rest(block: nn.Module) -> Iterator[None]:
    """While a block is computed again its normalisations count into copies, not the same batch twice."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    kept = [dict(norm.named_buffers()) for norm in norms]
    for norm, buffers in zip(norms, kept, strict=True):
        for name, value in buffers.items():
            setattr(norm, name, value.clone())
    try:
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, value in buffers.items():
                setattr(norm, name, value)
