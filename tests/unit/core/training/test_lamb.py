"""LAMB against steps taken by hand."""

import math

import pytest
import torch
from torch import Tensor, nn

from resnet_ops.families.build import build_network
from resnet_ops.training.optimisers import EPSILON, Lamb, build_optimiser
from tests.unit.core.makers import TINY, make_recipe

BETAS = (0.9, 0.99)


def steps(weight: Tensor, gradients: list[Tensor], decay: float, rate: float = 0.1) -> Tensor:
    parameter = nn.Parameter(weight.clone())
    optimiser = Lamb([{"params": [parameter], "weight_decay": decay}], rate, BETAS)
    for gradient in gradients:
        parameter.grad = gradient
        optimiser.step()
    return parameter.detach()


def test_the_first_step_is_as_long_as_the_weights_times_the_rate() -> None:
    weight, gradient = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.5, -2.0]])
    # Adam's first step is the sign of the gradient: (1, -1), with the decay (1 + 0.02 * 3, -1 + 0.02 * 4)
    way = torch.tensor([[1.06, -0.92]])
    expected = weight - 0.1 * way * 5 / math.hypot(1.06, 0.92)
    torch.testing.assert_close(steps(weight, [gradient], 0.02), expected, rtol=1e-5, atol=0)


def test_three_steps_follow_the_papers_formulas() -> None:
    source = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, generator=source, dtype=torch.float64)
    gradients = [torch.randn(4, 3, generator=source, dtype=torch.float64) for _ in range(3)]
    found = steps(weight, gradients, 0.02)
    mean = square = torch.zeros_like(weight)
    for number, gradient in enumerate(gradients, 1):
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.99 * square + 0.01 * gradient**2
        ratio = (mean / (1 - 0.9**number)) / ((square / (1 - 0.99**number)).sqrt() + EPSILON)
        way = ratio + 0.02 * weight
        weight = weight - 0.1 * way * weight.norm() / way.norm()
    torch.testing.assert_close(found, weight)


def test_without_decay_it_is_adam() -> None:
    source = torch.Generator().manual_seed(0)
    weight, *gradients = (torch.randn(6, generator=source) for _ in range(4))
    parameter = nn.Parameter(weight.clone())
    adam = torch.optim.Adam([parameter], lr=0.1, betas=BETAS, eps=EPSILON)
    for gradient in gradients:
        parameter.grad = gradient
        adam.step()
    torch.testing.assert_close(steps(weight, gradients, 0.0), parameter.detach())


@pytest.mark.parametrize(("weight", "gradient"), [(0.0, 1.0), (0.0, 0.0)])
def test_weights_of_length_0_take_adams_step(weight: float, gradient: float) -> None:
    found = steps(torch.full((2, 2), weight), [torch.full((2, 2), gradient)], 0.02)
    torch.testing.assert_close(found, torch.full((2, 2), -0.1 * gradient))


def test_a_weight_without_a_gradient_stays() -> None:
    still = nn.Parameter(torch.ones(2, 2))
    Lamb([{"params": [still], "weight_decay": 0.02}], 0.1, BETAS).step()
    assert torch.equal(still, torch.ones(2, 2))


def test_the_recipe_decays_and_adapts_matrices_and_kernels_only() -> None:
    network = build_network(TINY, 1, 10)
    optimiser = build_optimiser(network, make_recipe(optimiser="lamb", weight_decay=0.02))
    assert isinstance(optimiser, Lamb)
    decays = {p.ndim: g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert decays == {1: 0.0, 2: 0.02, 4: 0.02}
    assert all(group["betas"] == (0.9, 0.999) for group in optimiser.param_groups)
