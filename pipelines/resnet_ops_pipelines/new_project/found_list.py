"""A CSV file that says the classes of the images in folders beside it, as in what Kaggle gives for download."""

from pathlib import Path

from resnet_ops.csv_table import read_header
from resnet_ops.data.listing.folders import find
from resnet_ops.data.listing.given_splits import begins_like_a_split, class_folders
from resnet_ops.data.listing.named_images import named_columns
from resnet_ops.errors import DataError

__all__ = ["find_list"]

ANSWERS = "submission"
"""In the names of files whose classes are none: an example of what is to be handed in."""


def find_list(folder: Path) -> Path | None:
    """The list of a folder without class folders; None where it has none. Of several that which is called like train.

    Raises DataError where several may be meant.
    """
    classes = [each for each in class_folders(folder) if not begins_like_a_split(each.name)]
    if sum(bool(find(each).images) for each in classes) > 1:
        return None
    lists = [file for file in sorted(folder.glob("*.csv")) if _is_list(file)]
    of_train = [file for file in lists if file.stem.casefold().startswith("train")]
    if len(lists) > 1 and len(of_train) != 1:
        raise DataError(
            f"{folder} has several lists of images: {', '.join(map(str, lists[:5]))}. Name the one whose images are to "
            "be learned from: resnet-ops init LIST"
        )
    return next(iter(of_train or lists), None)


def _is_list(file: Path) -> bool:
    try:
        header = read_header(file)
        if ANSWERS in file.stem.casefold():
            return False
        return {"path", "class"} <= {*header} or named_columns(header, file) is not None
    except DataError:
        return False
