"""The window through which deep grey is seen: a range of values becomes 0 to 255, what lies outside black or white."""

import numpy as np

from resnet_ops.data.params import WindowParams

__all__ = ["all_of", "through"]


def through(window: WindowParams, values: np.ndarray) -> np.ndarray:
    """uint8, of the shape of `values`, which are in the window's unit: stored values, or DICOM's rescaled ones.

    DICOM PS3.3 C.11.2.1.2.1 (LINEAR) with c the centre, w the width, and y from 0 to 255:

        x <= c - 0.5 - (w - 1) / 2    y = 0
        x >  c - 0.5 + (w - 1) / 2    y = 255
        else                          y = ((x - (c - 0.5)) / (w - 1) + 0.5) * 255, rounded
    """
    middle, steps = window.center - 0.5, window.width - 1
    shown: np.ndarray
    if steps == 0:
        shown = np.where(values > middle, 255.0, 0.0)
    else:
        shown = ((np.asarray(values, np.float64) - middle) / steps + 0.5) * 255
    rounded: np.ndarray = np.rint(shown.clip(0, 255))
    return rounded.astype(np.uint8)


def all_of(lowest: float, highest: float) -> WindowParams:
    """The window that shows `lowest` as 0 and `highest` as 255."""
    return WindowParams(center=(lowest + highest + 1) / 2, width=highest - lowest + 1)
