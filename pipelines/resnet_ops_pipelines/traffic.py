"""Simulated production traffic: the production split, replayed through a camera."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from resnet_ops.data import ManifestRow
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_pipelines.project_params import TrafficWindow

__all__ = ["PRODUCTION", "request_ids", "request_times", "seen_by_camera"]

PRODUCTION = Path("data/production")
"""The split that neither training nor gate has seen."""


def seen_by_camera(images: np.ndarray, window: TrafficWindow, seed: int) -> np.ndarray:
    """The images as the window's camera delivers them, (N, H, W, C)."""
    return degrade(images, seed) if window.camera == "dirty" else images


def request_times(window: TrafficWindow, count: int) -> list[datetime]:
    """When each of `count` requests came in."""
    return [window.start + timedelta(hours=window.hours * index / count) for index in range(count)]


def request_ids(
    name: str, window: TrafficWindow, identity: ModelIdentity, rows: Sequence[ManifestRow]
) -> list[str]:
    """An id for each request, the same in every repeat, and another for another window, model or set of images.

    With one image more, the others come at other times: these are other requests. So are those to a version that was
    registered anew, of equal weights, after somebody deleted it.
    """
    asked = f"{identity}|{identity.digest}"
    images = hashlib.sha256("".join(row.sha256 for row in rows).encode()).hexdigest()
    return [str(uuid5(NAMESPACE_URL, f"{name}|{window}|{asked}|{images}|{row.path}")) for row in rows]
