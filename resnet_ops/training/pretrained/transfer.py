"""A network that starts from the weights of another: what is taken over, and what is new."""

from dataclasses import replace

from torch import Tensor

from resnet_ops.errors import ConfigError
from resnet_ops.families.build import Network
from resnet_ops.messages import say
from resnet_ops.training.parts import check_parts
from resnet_ops.training.plan import Plan
from resnet_ops.training.pretrained.starting_weights import Moments, StartingWeights, read_starting_weights

__all__ = ["start_network"]


def start_network(network: Network, plan: Plan, classes: tuple[str, ...]) -> Moments | None:
    """Load the weights that the plan's recipe starts from, where it does; says what was taken over.

    Gives the moments that these weights expect their input to be normalised with, None where they do not say or the
    channels differ. The head stays fresh where the classes differ: by name, or by number where the names are unknown.
    Weights of colour images start a network of grey ones with the sum of the stem's kernels, as if the grey image were
    shown as colour. Raises ConfigError that names every weight that does not fit, and what `read_starting_weights`
    raises.
    """
    start = plan.recipe.start
    if start is None:
        return None
    check_parts(network, start)
    weights = read_starting_weights(start)
    renamed = getattr(network, "from_classifier", dict)  # where the member is only part of the network
    weights = replace(weights, state=renamed(weights.state))
    fresh = network.state_dict()
    notes = []
    state = {
        name: tensor for name, tensor in fresh.items() if name.endswith("num_batches_tracked")
    } | weights.state
    if not _same_head(weights, network, classes):
        state = {name: tensor for name, tensor in state.items() if not _is_head(name, network)}
        state |= {name: tensor for name, tensor in fresh.items() if _is_head(name, network)}
        notes.append(f"a new head for {len(classes)} classes")
    stem = next(name for name, tensor in fresh.items() if tensor.ndim == 4)
    channels = fresh[stem].shape[1]
    if stem in state and (channels, state[stem].shape[1:2]) == (1, (3,)):
        state[stem] = state[stem].sum(1, keepdim=True)
        notes.append("the stem's kernels summed, as the images are grey")
    _check_fit(state, fresh, plan)
    network.load_state_dict(state)
    say(f"{plan.name} starts from {start.source}" + "".join(f"; {note}" for note in notes))
    known = weights.moments is not None and len(weights.moments[0]) == channels
    return weights.moments if known else None


def _is_head(name: str, network: Network) -> bool:
    return name.startswith(tuple(f"{module}." for module in network.PARTS["head"]))


def _same_head(weights: StartingWeights, network: Network, classes: tuple[str, ...]) -> bool:
    if weights.classes is not None:
        return weights.classes == classes
    theirs = {name: tensor.shape for name, tensor in weights.state.items() if _is_head(name, network)}
    ours = {name: tensor.shape for name, tensor in network.state_dict().items() if _is_head(name, network)}
    return theirs == ours


def _check_fit(state: dict[str, Tensor], fresh: dict[str, Tensor], plan: Plan) -> None:
    wrong = [f"{name}: missing" for name in fresh if name not in state]
    wrong += [f"{name}: not in this member" for name in state if name not in fresh]
    wrong += [
        f"{name}: {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in fresh.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if wrong and plan.recipe.start:
        listed = "\n  ".join(wrong)
        raise ConfigError(
            f"{plan.recipe.start.source} does not fit member {plan.name}: {len(wrong)} weights differ. Give the member "
            f"the settings of the model that these weights are from:\n  {listed}"
        )
