"""A network that sees large images in tiles, and makes one answer of what it says of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from resnet_ops.families.any_member import AnyMember
from resnet_ops.predictions import Predictions
from resnet_ops.tasks.tiles import MOST_TILES, Tiles, cuts, starts

if TYPE_CHECKING:
    from resnet_ops.tasks.heads.head import Head

__all__ = ["TiledHead", "TiledNetwork"]

Ask = Callable[[Any, Tensor], tuple[Tensor, Tensor]]
"""A head's `answer`, or its `deployable`."""


class TiledNetwork(nn.Module):
    """A task's network, asked about each tile of an image. See `resnet_ops.tasks.heads.head.Head`.

    In training all tiles of a batch pass through it together, and the loss is of the image's one answer. An image that
    is no larger than a tile is answered as the network itself answers.
    """

    def __init__(self, network: Any, tiles: Tiles, normal: int | None) -> None:
        """normal: the class that `tiles.normal` names."""
        super().__init__()
        self.network = network
        self._tiles, self._normal = tiles, normal
        self.PARTS = {
            part: tuple(f"network.{name}" for name in names) for part, names in network.PARTS.items()
        }

    def stage_features(self, x: Tensor) -> dict[str, Tensor]:
        """The network's maps of what it is shown as one tile."""
        return self.network.stage_features(x)  # type: ignore[no-any-return]

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a network that sees whole images, such as patches, or of one in tiles, by their names here."""
        state = {name.removeprefix("network."): each for name, each in state.items()}
        renamed = getattr(self.network, "from_classifier", dict)(state)
        return {f"network.{name}": each for name, each in renamed.items()}

    def forward(self, x: Tensor) -> Any:
        places = self._places(x)
        if len(places) == 1:
            return self.network(x)
        parts = [self.network(tiles) for tiles in self._cut(x, places, self.training)]
        if isinstance(parts[0], tuple):  # of more heads than one
            return tuple(self._joined(torch.cat(each), x)[0] for each in zip(*parts, strict=True))
        return self._joined(torch.cat(parts), x)[0]

    def answer(self, ask: Ask, x: Tensor, at_once: bool) -> tuple[Tensor, Tensor]:
        """What `ask` makes of the tiles, as one answer and one embedding an image. at_once: as in `_cut`."""
        places = self._places(x)
        if len(places) == 1:
            return ask(self.network, x)
        parts = [ask(self.network, tiles) for tiles in self._cut(x, places, at_once)]
        answers, features = (torch.cat(each) for each in zip(*parts, strict=True))
        joined, chosen = self._joined(answers, x)
        each = features.unflatten(0, (len(places), -1))
        return joined, each.mean(0) if chosen is None else _taken(each, chosen)

    def _places(self, x: Tensor) -> list[tuple[int, int]]:
        return self._tiles.places(*x.shape[-2:])

    def _cut(self, x: Tensor, places: Sequence[tuple[int, int]], at_once: bool) -> list[Tensor]:
        """Tiles of (N, C, H, W), all images' first ones first: (T * N, C, side, side) with no more than MOST_TILES of
        them in a part, or all in one.
        """
        side = self._tiles.side
        count = len(places) if at_once else max(1, MOST_TILES // len(x))
        parts = (places[first : first + count] for first in range(0, len(places), count))
        return [
            torch.cat([x[..., top : top + side, left : left + side] for top, left in part]) for part in parts
        ]

    def _joined(self, answers: Tensor, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(T * N, K, ...) logits of tiles -> (N, K, ...) of images, and (N,) which tile they are of, if of one."""
        height, width = x.shape[-2:]
        places = self._places(x)
        each = answers.unflatten(0, (len(places), -1))
        if self._tiles.pool is None:
            return _stitched(each, self._tiles, height, width), None
        each = each.float()
        logs = each.log_softmax(2)
        if self._normal is None:
            return logs.logsumexp(0) - math.log(len(places)), None
        chosen = logs[:, :, self._normal].argmin(0)
        return _taken(each, chosen), chosen


def _taken(each: Tensor, chosen: Tensor) -> Tensor:
    """(T, N, K) of tiles -> (N, K) of the chosen (N,) ones."""
    return each.gather(0, chosen[None, :, None].expand(1, -1, each.shape[2]))[0]


def _stitched(each: Tensor, tiles: Tiles, height: int, width: int) -> Tensor:
    """(T, N, K, side, side) -> (N, K, height, width): each pixel is of the tile that sees most around it."""
    (tops, rows), (lefts, columns) = (
        (starts(length, tiles.side, tiles.overlap), cuts(length, tiles.side, tiles.overlap))
        for length in (height, width)
    )
    bands = []
    for row, top in enumerate(tops):
        across = [
            each[row * len(lefts) + column][
                ...,
                rows[row] - top : rows[row + 1] - top,
                columns[column] - left : columns[column + 1] - left,
            ]
            for column, left in enumerate(lefts)
        ]
        bands.append(torch.cat(across, dim=-1))
    return torch.cat(bands, dim=-2)


class TiledHead:
    """See `resnet_ops.tasks.heads.head.Head`: a head whose network sees large images in tiles."""

    def __init__(self, head: "Head", tiles: Tiles, classes: Sequence[str]) -> None:
        self._head, self._tiles, self._classes = head, tiles, tuple(classes)
        self.any_batch = head.any_batch

    def network(self, member: AnyMember, in_channels: int, classes: int) -> TiledNetwork:
        normal = self._tiles.normal_class(self._classes)
        return TiledNetwork(self._head.network(member, in_channels, classes), self._tiles, normal)

    def answer(self, network: TiledNetwork, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return network.answer(self._head.answer, inputs, at_once=False)

    def deployable(self, network: TiledNetwork, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return network.answer(self._head.deployable, inputs, at_once=True)

    def predictions(self, answers: Tensor, embeddings: Tensor) -> Predictions:
        return self._head.predictions(answers, embeddings)
