"""Perturbations: what may befall images, at five severities each.

The fifteen common corruptions of `resnet_ops.evaluation`, and what they leave out: a camera that was turned, moved, put
nearer or farther, or got too little light. Black and white exchanged have no severities.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from resnet_ops.data.depth import Pixels, depth_of, white_of
from resnet_ops.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from resnet_ops.tasks.watching.move import Move
from resnet_ops_monitoring.drift.likeness import TRIED_ONCE

__all__ = ["FOLLOWED", "KINDS", "PERTURBATIONS", "UNFOLLOWED", "move_of", "perturbed"]

_ZOOMS = {"zoomed_in": -1, "zoomed_out": 1}
"""Powers of the share of the scene that is seen then."""


def _seen(images: Pixels, severity: int, kind: str) -> Pixels:
    seen = _by_camera(images.astype(np.float32), kind, severity, order=1, mode="nearest")
    return _levels(seen, images)


def _by_camera(planes: NDArray[Any], kind: str, severity: int, **options: Any) -> NDArray[Any]:
    """(N, H, W, ...) as after a camera was turned, moved, or put nearer or farther."""
    if kind == "turned":
        degrees = (3, 6, 12, 20, 30)[severity - 1]
        return np.asarray(ndimage.rotate(planes, -degrees, axes=(1, 2), reshape=False, **options))
    if kind in _ZOOMS:
        scale = np.ones(planes.ndim)
        scale[1:3] = (1.03, 1.07, 1.13, 1.25, 1.5)[severity - 1] ** _ZOOMS[kind]
        middle = (np.array(planes.shape) - 1) / 2
        return np.asarray(ndimage.affine_transform(planes, scale, middle - scale * middle, **options))
    by = (0, *_shift(severity, planes.shape), *[0] * (planes.ndim - 3))
    return np.asarray(ndimage.shift(planes, by, **options))


def _shift(severity: int, shape: tuple[int, ...]) -> tuple[float, float]:
    """Pixels down and to the right by which a moved camera shows (N, H, W, ...) images."""
    share = (1 / 32, 1 / 16, 3 / 32, 1 / 8, 3 / 16)[severity - 1]
    return share * shape[1], -share * shape[2]


def move_of(kind: str, severity: int, shape: tuple[int, ...]) -> Move:
    """What one of FOLLOWED does to the places in (N, H, W, ...) images."""
    maps = partial(_by_camera, kind=kind, severity=severity, order=0, mode="constant", cval=0)
    return Move(maps, _shift(severity, shape) if kind == "moved" else None)


def _darkened(images: Pixels, severity: int) -> Pixels:
    return _levels(images * np.float32((0.9, 0.8, 0.65, 0.5, 0.35)[severity - 1]), images)


def _inverted(images: Pixels, _: int) -> Pixels:
    """White for black, as where a file's photometric interpretation is taken for the other one."""
    return np.asarray(white_of(depth_of(images)) - images, dtype=images.dtype)


def _levels(values: NDArray[np.floating], of: Pixels) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, white_of(depth_of(of))), dtype=of.dtype)


_HANDLING: dict[str, Callable[[Pixels, int], Pixels]] = {
    "turned": partial(_seen, kind="turned"),
    "moved": partial(_seen, kind="moved"),
    "darkened": _darkened,
    **{kind: partial(_seen, kind=kind) for kind in _ZOOMS},
    "inverted": _inverted,
}
KINDS = (*CORRUPTIONS, *_HANDLING)
PERTURBATIONS = tuple(
    (kind, severity)
    for kind in KINDS
    for severity in SEVERITIES
    if kind not in TRIED_ONCE or severity == SEVERITIES[-1]
)
"""All kinds at all severities, 1 to 5; those tried once at the last."""
FOLLOWED = ("turned", "moved", *_ZOOMS)
"""What moves the truth with the image, where an answer says where."""
UNFOLLOWED = ("elastic_transform",)
"""What moves it in ways that a truth cannot follow exactly: left out there."""


def perturbed(images: Pixels, kind: str, severity: int, seed: int) -> Pixels:
    """Copies of (N, H, W, C) images; the same seed gives the same ones. Raises KeyError for another kind."""
    if kind in CORRUPTIONS:
        return corrupt(images, kind, severity, (seed, CORRUPTIONS.index(kind), severity))
    return _HANDLING[kind](images, severity)
