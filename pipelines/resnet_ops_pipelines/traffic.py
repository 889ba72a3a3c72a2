"""Simulated production traffic: the production split, replayed through a camera."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from resnet_ops.data import PreparedData
from resnet_ops_monitoring.drift.simulated_camera import AS_RECORDED, seen
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_pipelines.project_params import Params
from resnet_ops_pipelines.replay_order import request_times, requested, shuffled

__all__ = ["PRODUCTION", "Replay", "replay"]

PRODUCTION = Path("data/production")
"""The split that neither training nor gate has seen."""


@dataclass(frozen=True, eq=False)
class Replay:
    """R requests, in order. ids: the same in every repeat. images: (R, H, W, C), as the camera delivers them.
    groups: by number, since their names, such as patients', need not be in the log; None where images have none.
    """

    ids: list[str]
    times: list[datetime]
    images: np.ndarray
    groups: list[str] | None


def replay(name: str, params: Params, data: PreparedData, identity: ModelIdentity) -> Replay:
    """What `monitor.windows.NAME` sends to a version. data: the production split.

    An id is another for another window, model, set of images or place in the order, and for another seed where the
    camera changes images by it: these are other requests. So are those to a version that was registered anew, of equal
    weights, after somebody deleted it.
    """
    window, groups = params.monitor.windows[name], data.groups(params.data.group)
    places = requested(shuffled(data, groups), groups, window, params.monitor)
    images = np.asarray(data.images)[places]
    of_all = hashlib.sha256("".join(row.sha256 for row in data.rows).encode()).hexdigest()
    by_seed = "" if window.camera == AS_RECORDED else f"|{params.seed}"
    asked = f"{name}|{window}|{identity}|{identity.digest}|{of_all}{by_seed}"
    ids = [f"{asked}|{number}|{data.rows[place].path}" for number, place in enumerate(places)]
    numbers = None if groups is None else np.unique(groups, return_inverse=True)[1][places]
    return Replay(
        ids=[str(uuid5(NAMESPACE_URL, each)) for each in ids],
        times=request_times(window, len(places)),
        images=seen(images, window.camera, params.seed),
        groups=None if numbers is None else numbers.astype(str).tolist(),
    )
