"""Which split each image goes to: by a hash, by groups, or by their times."""

from resnet_ops.data.splits.assign import split_images

__all__ = ["split_images"]
