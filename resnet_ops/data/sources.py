"""Where images come from: the embedded digits, folders, a CSV file, or a data set's own files."""

from pathlib import Path

import numpy as np

from resnet_ops.data.formats import read_cifar, read_idx
from resnet_ops.data.listing.listings import list_images
from resnet_ops.data.params import LISTED, DataParams, SplitParams
from resnet_ops.data.raw import RawData
from resnet_ops.data.reading import read_listed
from resnet_ops.errors import DataError
from resnet_ops.messages import Progress

__all__ = ["DataParams", "RawData", "SplitParams", "check_source", "read_digits", "read_source"]


def read_source(
    params: DataParams, progress: Progress = lambda done, total: None, scratch: Path | None = None
) -> RawData:
    """Read every image. Raises DataError that lists all corrupt images and files, before anything is kept.

    progress: called with (images done, images in all) where images are read one by one. scratch: the folder of a file
    that holds the decoded images for as long as they are used; that of temporary files where it is None.
    """
    if params.source in LISTED:
        return read_listed(params, progress, scratch)
    match params.source:
        case "digits":
            return read_digits()
        case "idx":
            return read_idx(params, scratch)
        case _:
            return read_cifar(params, scratch)


def read_digits() -> RawData:
    """scikit-learn's copy of the UCI optical digits' test set (Alpaydin & Kaynak 1998): 1,797 grey 8x8 images."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    paths = [f"digits/{index:04d}" for index in range(len(images))]
    return RawData(images, digits.target.astype(np.int64), paths, [(8, 8)] * len(images), tuple("0123456789"))


def check_source(params: DataParams) -> None:
    """Raise the DataError of what is missing, without reading an image: folders, an empty class, wrong rows."""
    root = Path(params.root or "")
    if params.source in LISTED:
        list_images(params)
    elif params.source != "digits" and not root.is_dir():
        raise DataError(
            f"The folder {root} is missing. Set data.root in params.yaml to the folder of the files."
        )
