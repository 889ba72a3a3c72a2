"""Simulated production traffic: the production split, replayed through a camera."""

from datetime import datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import numpy as np
from project_params import TrafficWindow

from resnet_ops.data import PreparedData, load_prepared
from resnet_ops_monitoring.camera import degrade

__all__ = ["production", "request_ids", "request_times", "seen_by_camera"]


def production() -> PreparedData:
    """The split that neither training nor gate has seen."""
    return load_prepared(Path("data/production"))


def seen_by_camera(images: np.ndarray, window: TrafficWindow, seed: int) -> np.ndarray:
    """The images as the window's camera delivers them, (N, H, W, C) uint8."""
    return degrade(images, seed) if window.camera == "dirty" else images


def request_times(window: TrafficWindow, count: int) -> list[datetime]:
    """When each of `count` requests came in."""
    return [window.start + timedelta(seconds=window.seconds_apart * index) for index in range(count)]


def request_ids(name: str, window: TrafficWindow, digest: str, paths: list[str]) -> list[str]:
    """An id for each request that is the same in every repeat, and another for another window or model."""
    return [str(uuid5(NAMESPACE_URL, f"{name}|{window}|{digest}|{path}")) for path in paths]
