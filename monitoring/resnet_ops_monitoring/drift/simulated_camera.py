"""The camera of simulated traffic: as it recorded, dirty, or changed in one way. Nothing here is real traffic."""

import math

import numpy as np

from resnet_ops.data.depth import Pixels
from resnet_ops_monitoring.drift.likeness import TRIED_ONCE
from resnet_ops_monitoring.drift.perturbations import KINDS, PERTURBATIONS, perturbed
from resnet_ops_monitoring.drift.words import perturbation
from resnet_ops_monitoring.serving.camera import SIMULATION, degrade

__all__ = ["AS_RECORDED", "CAMERAS", "check_camera", "seen", "told"]

AS_RECORDED, DIRTY = "as_recorded", "dirty"
REPLAY = "Simulated: real images that training and gate have not seen, replayed as they were recorded."
_CHANGES = {f"{kind} {severity}": (kind, severity) for kind, severity in PERTURBATIONS}
"""One change each, by which the accuracy calibration knows them too."""
CAMERAS = (AS_RECORDED, DIRTY, *_CHANGES)
_VALUES = 1 << 25
"""Of images that are changed at once, at most, or of one: a change takes up to 34 bytes for each."""


def check_camera(camera: str) -> None:
    """Raise ValueError where there is no such camera."""
    if camera not in CAMERAS:
        raise ValueError(
            f"camera is {camera[:50]!r}, but must be {AS_RECORDED}, {DIRTY}, or one change with its severity from 1 to "
            f"5, such as darkened 4; changes are {', '.join(KINDS)} ({', '.join(TRIED_ONCE)}: 5 alone)"
        )


def seen(images: Pixels, camera: str, seed: int) -> Pixels:
    """(N, H, W, C) images as one of CAMERAS delivers them; the same seed gives the same ones."""
    if camera == DIRTY:
        return degrade(images, seed)
    if camera == AS_RECORDED:
        return images
    count, found = max(1, _VALUES // math.prod(images.shape[1:])), np.empty_like(images)
    for start in range(0, len(images), count):
        found[start : start + count] = perturbed(
            images[start : start + count], *_CHANGES[camera], seed + start
        )
    return found


def told(camera: str) -> str:
    """What a page says of such traffic."""
    if camera == DIRTY:
        return SIMULATION
    if camera == AS_RECORDED:
        return REPLAY
    kind, severity = _CHANGES[camera]
    return f"Simulated: real images, changed on purpose: {perturbation(kind)}, severity {severity} of 5."
