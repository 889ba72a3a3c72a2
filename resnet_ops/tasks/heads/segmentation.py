"""The head of segmentation: FCN or DeepLabV3 on a member's last stage, or a U-Net on all, as large as the image."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from resnet_ops.errors import ConfigError
from resnet_ops.families.any_member import AnyMember
from resnet_ops.families.build import Network, build_network
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.heads.dilation import dilate
from resnet_ops.tasks.heads.logits import of_logits
from resnet_ops.tasks.heads.unet import UNetDecoder
from resnet_ops.tasks.task import Segmentation

__all__ = ["SegmentationHead", "SegmentationNetwork"]


class SegmentationNetwork(nn.Module):
    """A member with torchvision's names (`backbone`, `classifier`, `aux_classifier`), so that its weights fit.

    `forward` takes (N, C, H, W) floats and gives (N, K, H, W) logits; in training with an auxiliary head, the pair of
    both heads' logits.
    """

    def __init__(self, backbone: Network, settings: Segmentation, classes: int) -> None:
        super().__init__()
        # only where a network needs them: importing torchvision's models takes a while
        from torchvision.models.segmentation.deeplabv3 import DeepLabHead
        from torchvision.models.segmentation.fcn import FCNHead

        (head,) = backbone.PARTS["head"]
        setattr(backbone, head, nn.Identity())
        dilate(backbone, settings.dilated)
        self.backbone = backbone
        channels = _channels(backbone)
        *_, self._before, self._last = channels
        self._joins_all = settings.head == "unet"
        self.classifier: nn.Module
        if self._joins_all:
            self.classifier = UNetDecoder(channels, classes)
        else:
            last_only = {"fcn": FCNHead, "deeplabv3": DeepLabHead}[settings.head]
            self.classifier = last_only(channels[self._last], classes)
        self.aux_classifier = FCNHead(channels[self._before], classes) if settings.auxiliary else None
        self.PARTS = {
            part: tuple(f"backbone.{name}" for name in names)
            for part, names in backbone.PARTS.items()
            if part != "head"
        }
        heads = ("classifier", "aux_classifier") if settings.auxiliary else ("classifier",)
        self.PARTS["head"] = heads

    def stage_features(self, x: Tensor) -> dict[str, Tensor]:
        """The backbone's maps."""
        return self.backbone.stage_features(x)

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K, H, W) logits, and (N, F) embeddings: the last stage, averaged over its pixels."""
        maps = self.stage_features(x)
        return self._logits(maps, x), maps[self._last].mean((2, 3))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        maps = self.stage_features(x)
        logits = self._logits(maps, x)
        if self.aux_classifier is None or not self.training:
            return logits
        return logits, _enlarged(self.aux_classifier(maps[self._before]), x)

    def _logits(self, maps: dict[str, Tensor], image: Tensor) -> Tensor:
        return _enlarged(self.classifier(maps if self._joins_all else maps[self._last]), image)

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a classifier by the names that they have here, without its head; others as they are."""
        if any(name.startswith("backbone.") for name in state):
            return dict(state)
        (head,) = self.backbone.PARTS["head"]
        return {f"backbone.{name}": each for name, each in state.items() if not name.startswith(f"{head}.")}


def _enlarged(logits: Tensor, image: Tensor) -> Tensor:
    return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


def _channels(backbone: Network) -> dict[str, int]:
    """Of the maps that a member gives, by the name of the stage."""
    import torch

    inputs = next(module.in_channels for module in backbone.modules() if isinstance(module, nn.Conv2d))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        backbone.eval()
        maps = backbone.stage_features(torch.zeros(1, inputs, 32, 32))
        backbone.train()
    return {name: each.shape[1] for name, each in maps.items()}


class SegmentationHead:
    """See `resnet_ops.tasks.heads.head.Head`. Logits are (N, K, H, W)."""

    any_batch = True

    def __init__(self, settings: Segmentation) -> None:
        self.settings = settings

    def network(self, member: AnyMember, in_channels: int, classes: int) -> SegmentationNetwork:
        if getattr(member, "attention", 0) and self.settings.dilated:
            raise ConfigError(
                "data.segmentation.dilated makes the last maps larger, but this member has self-attention for maps of "
                "one size. In params.yaml set the member's attention to 0, or dilated to 0."
            )
        return SegmentationNetwork(build_network(member, in_channels, classes), self.settings, classes)

    def answer(self, network: SegmentationNetwork, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return network.answer(inputs)

    def deployable(self, network: SegmentationNetwork, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return network.answer(inputs)

    def predictions(self, answers: Tensor, embeddings: Tensor) -> Predictions:
        return of_logits(answers, embeddings)
