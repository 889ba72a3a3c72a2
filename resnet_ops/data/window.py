"""The window through which deep grey is seen: a range of values becomes black to white."""

import numpy as np

from resnet_ops.data.depth import Depth, dtype_of, white_of
from resnet_ops.data.params import WindowParams

__all__ = ["all_of", "through"]


def through(window: WindowParams, values: np.ndarray, depth: Depth = 8) -> np.ndarray:
    """Pixels of the shape of `values`, which are in the window's unit: stored values, or DICOM's rescaled ones.

    DICOM PS3.3 C.11.2.1.2.1 (LINEAR) with c the centre, w the width, and y from 0 to white, 255 or 65535:

        x <= c - 0.5 - (w - 1) / 2    y = 0
        x >  c - 0.5 + (w - 1) / 2    y = white
        else                          y = ((x - (c - 0.5)) / (w - 1) + 0.5) * white, rounded
    """
    white = float(white_of(depth))
    middle, steps = window.center - 0.5, window.width - 1
    shown: np.ndarray
    if steps == 0:
        shown = np.where(values > middle, white, 0.0)
    else:
        shown = ((np.asarray(values, np.float64) - middle) / steps + 0.5) * white
    rounded: np.ndarray = np.rint(shown.clip(0, white))
    return rounded.astype(dtype_of(depth))


def all_of(lowest: float, highest: float) -> WindowParams:
    """The window that shows `lowest` as black and `highest` as white."""
    return WindowParams(center=(lowest + highest + 1) / 2, width=highest - lowest + 1)
