"""The loop that ours is compared with: torch alone, without anything that is not needed to train this one network."""

import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_ops.data import PreparedData
from resnet_ops.families.build import build_network
from resnet_ops.training.plan import Plan
from resnet_ops.training.schedule import learning_rate

__all__ = ["BareLoop"]


class BareLoop:
    """A plan's network, optimiser, precision and compile mode, and batches that are on the device already."""

    def __init__(self, plan: Plan, classes: int) -> None:
        self.plan = plan
        self.device = torch.device(plan.engine.device)
        torch.manual_seed(plan.seed)
        network = build_network(plan.member, 3, classes)
        self.network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if plan.engine.compile:
            self.network.compile(mode=plan.engine.compile, dynamic=False)
        parameters = list(self.network.parameters())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": plan.recipe.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1]},
        ]
        self.optimiser = torch.optim.SGD(
            groups,
            lr=plan.recipe.peak_lr,
            momentum=plan.recipe.momentum,
            nesterov=True,
            fused=self.device.type == "cuda" or None,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Logits of (N, 3, H, W) normalised images."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.engine.precision == "bf16"):
            return self.network(images)  # type: ignore[no-any-return]

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Go down the gradient on normalised images (N, 3, H, W) that lie channels-last."""
        loss = F.cross_entropy(
            self.forward(images).float(), labels, label_smoothing=self.plan.recipe.label_smoothing
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()

    def train(self, data: PreparedData) -> tuple[float, float]:
        """Train by the plan's recipe, of which crops and mirrors are done here too; all images lie on the device.

        Gives the share of right answers on split `validation` and the seconds of the steps, compiling not counted.
        """
        images, labels = self._normalised(data, "train")
        size = self.plan.recipe.batch_size
        start = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        for _ in range(3):
            self.step(images[:size].permute(0, 3, 1, 2), labels[:size])
        self.network.load_state_dict(start)
        self.optimiser.state.clear()
        each = len(labels) // size
        steps = each * self.plan.recipe.epochs
        padding = self.plan.recipe.crop_padding
        padded = F.pad(images, (0, 0, padding, padding, padding, padding))
        self._wait()
        started = time.perf_counter()
        for step in range(steps):
            if step % each == 0:
                order = torch.randperm(len(labels), device=self.device)
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.plan.recipe, step, steps)
            rows = order[step % each * size :][:size]
            self.step(self._crops(padded, rows, images.shape[1]), labels[rows])
        self._wait()
        seconds = time.perf_counter() - started
        return self._accuracy(*self._normalised(data, "validation")), seconds

    def _crops(self, padded: Tensor, rows: Tensor, side: int) -> Tensor:
        """One random crop of each of the rows' images, half of them mirrored."""
        offsets = torch.randint(padded.shape[1] - side + 1, (2, len(rows), 1), device=self.device)
        down, across = offsets + torch.arange(side, device=self.device)
        mirrored = torch.rand(len(rows), 1, device=self.device) < 0.5
        across = torch.where(mirrored, across.flip(1), across)
        return padded[rows[:, None, None], down[:, :, None], across[:, None]].permute(0, 3, 1, 2)

    def _normalised(self, data: PreparedData, split: str) -> tuple[Tensor, Tensor]:
        """(N, H, W, 3) images with the training split's mean and deviation taken out, and their labels."""
        train, part = data.split("train").images, data.split(split)
        mean, std = ((train[:5000] / 255).mean((0, 1, 2)), (train[:5000] / 255).std((0, 1, 2)))
        images = torch.from_numpy(part.images.copy()).to(self.device).float() / 255
        moments = torch.tensor([mean.tolist(), std.tolist()], device=self.device)
        return (images - moments[0]) / moments[1], torch.from_numpy(part.labels).to(self.device)

    def _accuracy(self, images: Tensor, labels: Tensor) -> float:
        self.network.eval()
        size = min(1000, len(labels))
        with torch.inference_mode():
            hits = sum(
                (
                    self.forward(images[i : i + size].permute(0, 3, 1, 2)).argmax(1) == labels[i : i + size]
                ).sum()
                for i in range(0, len(labels), size)
            )
        return float(hits) / len(labels)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
