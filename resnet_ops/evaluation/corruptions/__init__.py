"""The 15 common corruptions of images at five severities (Hendrycks and Dietterich 2019, arXiv:1903.12261)."""

from resnet_ops.evaluation.corruptions.corrupt import CORRUPTIONS, SEVERITIES, corrupt

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupt"]
