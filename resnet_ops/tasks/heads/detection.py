"""The head of detection: torchvision's detectors on a member, for batches of images of one size."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_ops.families.any_member import AnyMember
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.answers import boxes_of
from resnet_ops.tasks.detection.models import build_detector
from resnet_ops.tasks.task import Detection

__all__ = ["DetectionHead", "DetectionNetwork", "Judged"]

LOWEST_SCORE = 0.05
"""From which on boxes are answered: average precision needs those of low scores too."""

Found = dict[str, Tensor]
"""torchvision's: `boxes` (M, 4) left, top, right and bottom in pixels, and `labels` (M,) from 1."""


@dataclass(frozen=True)
class Judged:
    """What a network in evaluation makes of images whose objects it is told."""

    loss: Tensor
    """A scalar in nats, the mean over the images."""
    rows: Tensor
    """(N, D, 6), as `DetectionNetwork` answers."""


@dataclass(frozen=True)
class _Asked:
    """A batch on its way: torchvision's list of images, the pyramid, and of a one-stage detector what its head says."""

    images: Any
    maps: "OrderedDict[str, Tensor]"
    outputs: dict[str, Tensor] = field(default_factory=dict)
    anchors: list[Tensor] = field(default_factory=list)
    per_level: list[int] = field(default_factory=list)
    """How many anchors each map has."""


class DetectionNetwork(nn.Module):
    """A detector for (N, C, H, W) normalised images of one size; 0 is the class of what is no object.

    `forward` takes the images, and in training a list of what each shows, in torchvision's form; it gives the loss
    then, a scalar. In evaluation it gives (N, D, 6) rows by falling score: left, top, right, bottom in pixels, score
    and class, of which those of class 0 are no answer; with what the images show, both (`Judged`).
    """

    def __init__(self, member: AnyMember, settings: Detection, in_channels: int, classes: int) -> None:
        super().__init__()
        plain: dict[str, Any] = {
            "mean": [0.0] * in_channels,
            "std": [1.0] * in_channels,
            "shortest": 1,
            "longest": 1,
        }
        detector: Any = build_detector(
            member,
            settings.head,
            classes - 1,
            frozen_norms=settings.frozen_norms,
            width=settings.width,
            **plain,
        )
        detector.transform = nn.Identity()  # images come at one size, normalised
        self.detector, self._two_stage = detector, hasattr(detector, "rpn")
        if self._two_stage:
            for part in (detector.rpn.head, detector.roi_heads.box_predictor):
                part.register_forward_hook(_in_fp32)
        answering = detector.roi_heads if self._two_stage else detector
        answering.score_thresh = LOWEST_SCORE
        self.most = int(answering.detections_per_img)
        body, self._body = detector.backbone.body, "detector.backbone.body."
        self.PARTS = {
            part: tuple(f"{self._body}{name}" for name in names)
            for part, names in body.PARTS.items()
            if part != "head"
        }
        heads = ("rpn", "roi_heads") if self._two_stage else ("head",)
        self.PARTS["head"] = tuple(f"detector.{name}" for name in ("backbone.fpn", *heads))
        (self._head,) = body.PARTS["head"]

    def stage_features(self, x: Tensor) -> dict[str, Tensor]:
        """The member's maps."""
        maps: dict[str, Tensor] = self.detector.backbone.body.stage_features(x)
        return maps

    def answer(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D, 6) rows, and (N, F) embeddings: the last stage, averaged over its pixels."""
        maps = self.stage_features(x)
        *_, last = maps.values()
        return self._rows(self._asked(x, self.detector.backbone.joined(maps))), last.mean((2, 3))

    def forward(self, x: Tensor, shown: list[Found] | None = None) -> Tensor | Judged:
        asked = self._asked(x, self.detector.backbone(x))
        if shown is None:
            return self._rows(asked)
        loss = self._loss(asked, shown)
        return loss if self.training else Judged(loss, self._rows(asked))

    def _asked(self, x: Tensor, pyramid: "OrderedDict[str, Tensor]") -> "_Asked":
        from torchvision.models.detection.image_list import ImageList

        images = ImageList(x, [(x.shape[2], x.shape[3])] * len(x))
        maps = OrderedDict((name, each.float()) for name, each in pyramid.items())
        if self._two_stage:
            return _Asked(images, maps)
        every = list(maps.values())
        outputs = {name: each.float() for name, each in self.detector.head(every).items()}
        anchors = self.detector.anchor_generator(images, every)
        places = [each.shape[2] * each.shape[3] for each in every]
        of_each = len(anchors[0]) // sum(places)
        return _Asked(images, maps, outputs, anchors, [count * of_each for count in places])

    def _loss(self, asked: "_Asked", shown: list[Found]) -> Tensor:
        detector = self.detector
        if self._two_stage:
            with self._sampling():
                proposals, losses = detector.rpn(asked.images, asked.maps, shown)
                _, more = detector.roi_heads(asked.maps, proposals, asked.images.image_sizes, shown)
            losses = losses | more
        else:
            levels = (asked.per_level,) if hasattr(detector, "center_sampling_radius") else ()
            losses = detector.compute_loss(shown, asked.outputs, asked.anchors, *levels)
        return torch.stack(list(losses.values())).sum()

    def _rows(self, asked: "_Asked") -> Tensor:
        detector, images = self.detector, asked.images
        if self._two_stage:
            proposals, _ = detector.rpn(images, asked.maps)
            found, _ = detector.roi_heads(asked.maps, proposals, images.image_sizes)
        else:
            levels = {name: list(each.split(asked.per_level, 1)) for name, each in asked.outputs.items()}
            anchors = [list(each.split(asked.per_level)) for each in asked.anchors]
            found = detector.postprocess_detections(levels, anchors, images.image_sizes)
        return torch.stack([self._padded(**each) for each in found])

    def _padded(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """(D, 6), filled up with rows of class 0."""
        rows = torch.cat([boxes.float(), scores.float()[:, None], labels.float()[:, None]], dim=1)
        return F.pad(rows, (0, 0, 0, self.most - rows.shape[0]))

    @contextmanager
    def _sampling(self) -> Iterator[None]:
        """Both stages draw what they learn from, also in evaluation; batch norms within stay as they are."""
        stages = (self.detector.rpn, self.detector.roi_heads)
        for stage in stages:
            stage.training = True
        try:
            yield
        finally:
            for stage in stages:
                stage.training = self.training

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of a classifier, or of torchvision's detectors, by the names that they have here.

        Without a classifier's head, and without what frozen norms do not have; those of a detector as they are.
        """
        ours = self.state_dict().keys()
        if any(name.startswith("backbone.body.") for name in state):
            state = {f"detector.{name}": each for name, each in state.items()}
        elif not any(name.startswith(self._body) for name in state):
            state = {
                f"{self._body}{name}": each
                for name, each in state.items()
                if not name.startswith(f"{self._head}.")
            }
        return {
            name: each
            for name, each in state.items()
            if name in ours or not name.endswith("num_batches_tracked")
        }


def _in_fp32(module: nn.Module, inputs: Any, outputs: Iterable[Any]) -> tuple[Any, ...]:
    """What a head says of boxes and classes: corners and losses need more digits than bf16 has."""
    return tuple(
        [part.float() for part in each] if isinstance(each, list) else each.float() for each in outputs
    )


class DetectionHead:
    """See `resnet_ops.tasks.heads.head.Head`. Answers are (N, D, 6) rows, as `DetectionNetwork` gives them."""

    any_batch = False

    def __init__(self, settings: Detection) -> None:
        self.settings = settings

    def network(self, member: AnyMember, in_channels: int, classes: int) -> DetectionNetwork:
        return DetectionNetwork(member, self.settings, in_channels, classes)

    def answer(self, network: DetectionNetwork, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return network.answer(inputs)

    def deployable(self, network: DetectionNetwork, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return network.answer(inputs)

    def predictions(self, answers: Tensor, embeddings: Tensor) -> Predictions:
        return boxes_of(answers.numpy(), embeddings.numpy())
