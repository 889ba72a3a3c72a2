"""The head of classification: the member's own, on the mean of its last stage."""

from torch import Tensor

from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import Network, build_network
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.heads.logits import of_logits

__all__ = ["ClassificationHead"]


class ClassificationHead:
    """See `resnet_ops.tasks.heads.head.Head`. Logits are (N, K)."""

    any_batch = True

    def network(self, member: AnyMember, in_channels: int, classes: int) -> Network:
        return build_network(member, in_channels, classes)

    def answer(self, network: Network, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = network.features(inputs)
        return network.head(features), features

    def deployable(self, network: Network, inputs: Tensor) -> tuple[Tensor, Tensor]:
        *_, last = network.stage_features(inputs).values()
        embeddings = last.mean((2, 3))
        return network.head(embeddings), embeddings

    def predictions(self, answers: Tensor, embeddings: Tensor) -> Predictions:
        return of_logits(answers, embeddings)
