"""The graph that every format is made from."""

import copy
import os
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from resnet_ops.data.depth import white_of
from resnet_ops.families.cifar import ZeroPadShortcut
from resnet_ops.model import TrainedModel
from resnet_ops.tasks.heads.head import head_of

__all__ = ["deployable", "pt2_bytes", "trace"]

MAX_BATCH = 4096


class _Deployable(nn.Module):
    """Images (N, H, W, C), uint8 or uint16 -> logits (N, K, ...) and embeddings (N, F).

    The same arithmetic as `ImageClassifier` in a form that runtimes run well: normalisation is one multiplication and
    one addition over whole rows, and a shortcut that takes every second pixel and pads channels is a convolution
    with weights 0 and 1.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.network, self.head = copy.deepcopy(model.network), head_of(model.task)
        for module in list(self.network.modules()):
            shortcut = getattr(module, "shortcut", None)
            if isinstance(shortcut, ZeroPadShortcut):
                module.shortcut = _as_convolution(shortcut, module.conv1.in_channels)  # type: ignore[union-attr, arg-type]
        mean, std = torch.tensor(model.mean), torch.tensor(model.std)
        rows = (model.image_size, 1)
        self.register_buffer("scale", (1 / (white_of(model.depth) * std)).repeat(rows))
        self.register_buffer("shift", (-mean / std).repeat(rows))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        normalised = (images.float() * self.scale + self.shift).permute(0, 3, 1, 2)
        return self.head.deployable(self.network, normalised)


def _as_convolution(shortcut: ZeroPadShortcut, channels: int) -> nn.Conv2d:
    padded = channels + shortcut.added_channels
    convolution = nn.Conv2d(channels, padded, 1, shortcut.stride, bias=False)
    front = shortcut.added_channels // 2
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[front : front + channels, :, 0, 0] = torch.eye(channels)
    return convolution


def deployable(model: TrainedModel, count: int) -> tuple[nn.Module, Tensor]:
    """Images (N, H, W, C) on the CPU -> answers (N, ...) and embeddings (N, F); and so many black images."""
    kind = torch.uint16 if model.depth == 16 else torch.uint8
    images = torch.zeros(count, model.image_size, model.image_size, model.channels, dtype=kind)
    return _Deployable(model).cpu().eval(), images


def trace(model: TrainedModel) -> ExportedProgram:
    """torch.export's program of a model on the CPU, for batches of any size up to 4096.

    Equal models give equal programs wherever the code lies: file names and line numbers are taken out.
    """
    module, images = deployable(model, 2)
    batch = Dim("batch", min=1, max=MAX_BATCH)
    program = torch.export.export(module, (images,), dynamic_shapes={"images": {0: batch}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    return program


def pt2_bytes(program: ExportedProgram) -> bytes:
    """As a `pt2` file."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.pt2"
        torch.export.save(program, os.fspath(path))
        return path.read_bytes()
