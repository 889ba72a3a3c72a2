"""The named parts of a network in training: which of them stay as they are, and how fast each learns."""

from collections.abc import Iterable

from torch import nn

from resnet_ops.errors import ConfigError
from resnet_ops.families.build import Network
from resnet_ops.training.start import Start

__all__ = ["check_parts", "hold_frozen", "rate_groups"]


def check_parts(network: Network, start: Start) -> None:
    """Raise ConfigError where the settings name a part that the network does not have."""
    unknown = sorted({*start.frozen, *start.rates} - set(network.PARTS))
    if unknown:
        raise ConfigError(
            f"The recipe's start names {', '.join(unknown)} under frozen or rates in params.yaml; "
            f"this member's parts are {', '.join(network.PARTS)}."
        )


def _modules(network: Network, part: str) -> Iterable[nn.Module]:
    return (network.get_submodule(name) for name in network.PARTS[part])


def hold_frozen(network: Network, start: Start | None, epochs: int) -> None:
    """Keep the parts still that are frozen after `epochs` epochs, statistics included, and let the others move again.

    A weight without a gradient is passed over by the optimiser: no decay, no momentum. Call it after `network.train()`.
    """
    for part, frozen_for in start.frozen.items() if start else ():
        frozen = epochs < frozen_for
        for module in _modules(network, part):
            module.requires_grad_(not frozen)
            if frozen:
                module.eval()


def rate_groups(network: Network, start: Start | None) -> list[tuple[float, list[nn.Parameter]]]:
    """Factors of the learning rate, each with its parameters; all in one where no factor is asked for."""
    if start is None or not start.rates:
        return [(1.0, list(network.parameters()))]
    groups: dict[float, list[nn.Parameter]] = {}
    for part in network.PARTS:
        parameters = [each for module in _modules(network, part) for each in module.parameters()]
        groups.setdefault(start.rates.get(part, 1.0), []).extend(parameters)
    return list(groups.items())
