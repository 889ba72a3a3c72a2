"""Data sets as images of one size with a manifest: reading, splitting, keeping, describing."""

from resnet_ops.data.image_stats import image_stats
from resnet_ops.data.prepared import ManifestRow, PreparedData, load_prepared, save_prepared

__all__ = ["ManifestRow", "PreparedData", "image_stats", "load_prepared", "save_prepared"]
