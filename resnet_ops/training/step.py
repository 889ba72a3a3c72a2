"""One step of the optimiser."""

from torch import Tensor, nn

from resnet_ops.tasks.learning.learning import Loss, Targets
from resnet_ops.training.distributed.share import Share
from resnet_ops.training.distributed.workers import Workers
from resnet_ops.training.plan import Plan
from resnet_ops.training.set_up import precision
from resnet_ops.training.state import TrainingState

__all__ = ["take_step"]


def take_step(
    state: TrainingState,
    inputs: Tensor,
    targets: Targets,
    plan: Plan,
    training_loss: Loss,
    share: Share,
    workers: Workers,
) -> None:
    """Go down the gradient on (N, C, H, W) normalised images and those of the other workers, part by part.

    inputs, targets: the share's own.
    """
    state.optimiser.zero_grad(set_to_none=True)
    if not workers.leads:  # the sums of the epoch so far are the same everywhere: one worker brings them in
        state.loss_sum.zero_()
        state.hits.zero_()
    stop = 0
    for count in share.parts:
        start, stop = stop, stop + count
        part = targets.of(slice(start, stop))
        with precision(plan.engine):
            outputs = state.network(inputs[start:stop], *part.shown)
        loss = training_loss.of(part, outputs) * (count / share.size)
        loss.backward()
        state.loss_sum += loss.detach()
        state.hits += part.hits(outputs)
    gradients = [weight.grad for weight in state.network.parameters() if weight.grad is not None]
    workers.sum([*gradients, state.loss_sum, state.hits])
    if plan.recipe.clip:
        nn.utils.clip_grad_norm_(state.network.parameters(), plan.recipe.clip)
    state.optimiser.step()
    if state.average is not None:
        state.average.update(state.network)
    state.step += 1
