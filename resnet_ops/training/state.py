"""A training between two steps: all that the next step depends on, and its way into a checkpoint and back."""

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from resnet_ops.training.average import WeightAverage
from resnet_ops.training.checkpoints import Checkpoint
from resnet_ops.training.epoch import Epoch
from resnet_ops.training.rare_classes.sampler import ClassSampler

__all__ = ["TrainingState"]


@dataclass
class TrainingState:
    """Weights, optimiser, random states and the place in the schedule."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    """On the CPU; draws the order of the images and their augmentation."""
    loss_sum: Tensor
    """Of the steps of this epoch, a scalar."""
    hits: Tensor
    """Of the images of this epoch each one's score, a scalar: how many were classified rightly."""
    average: WeightAverage | None
    """Where the recipe asks for one."""
    sampler: ClassSampler | None
    """Draws the images of an epoch; None where each is taken once."""
    step: int = 0
    """Steps done in all."""
    epochs: list[Epoch] = field(default_factory=list)
    """Epochs done."""
    epoch_start: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.uint8))
    """The generator's state when this epoch's order was drawn."""

    def start_epoch(self, images: int) -> None:
        """Forget the sums of the last epoch and draw the order of this one."""
        self.epoch_start = self.generator.get_state()
        self._draw(images, self.generator)
        self.loss_sum.zero_()
        self.hits.zero_()

    def order(self, images: int) -> Tensor:
        """The rows of this epoch in their order, (images,) int64, drawn again from where they were drawn first."""
        source = torch.Generator()
        source.set_state(self.epoch_start)
        return self._draw(images, source)

    def _draw(self, images: int, source: torch.Generator) -> Tensor:
        if self.sampler is not None:
            return self.sampler.draw(images, source)
        return torch.randperm(images, generator=source)

    def checkpoint(self) -> Checkpoint:
        """All of it, as it is now."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= {
            "random.images": self.generator.get_state(),
            "random.epoch_start": self.epoch_start,
            "random.torch": torch.get_rng_state(),
            "epoch.loss_sum": self.loss_sum,
            "epoch.hits": self.hits,
        }
        if self.average is not None:
            averaged = self.average.network.state_dict()
            tensors |= {f"average.{name}": tensor for name, tensor in averaged.items()}
        if self.loss_sum.is_cuda:
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.loss_sum.device)
        numbers: dict[str, float] = {}
        for index, values in self.optimiser.state_dict()["state"].items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"optimiser.{index}.{name}"] = value
                elif value is not None:
                    numbers[f"{index}.{name}"] = value
        rest = {"epochs": [asdict(epoch) for epoch in self.epochs], "optimiser": numbers}
        return Checkpoint(self.step, tensors, rest)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Go on as if the training had never stopped."""
        tensors = checkpoint.tensors
        self.network.load_state_dict(_below("network.", tensors))
        if self.average is not None:
            self.average.network.load_state_dict(_below("average.", tensors))
        self._resume_optimiser({**_below("optimiser.", tensors), **checkpoint.rest["optimiser"]})
        self.generator.set_state(tensors["random.images"])
        self.epoch_start = tensors["random.epoch_start"]
        torch.set_rng_state(tensors["random.torch"])
        if self.loss_sum.is_cuda:
            torch.cuda.set_rng_state(tensors["random.cuda"], self.loss_sum.device)
        self.loss_sum.copy_(tensors["epoch.loss_sum"])
        self.hits.copy_(tensors["epoch.hits"])
        self.step = checkpoint.step
        self.epochs = [Epoch(**fields) for fields in checkpoint.rest["epochs"]]

    def _resume_optimiser(self, values: dict[str, Tensor | float]) -> None:
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor | float]] = {}
        for key, value in values.items():
            index, name = key.split(".", 1)
            parameter = parameters[int(index)]
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)  # its layout in memory
            state.setdefault(int(index), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
