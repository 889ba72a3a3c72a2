"""Which images are used, and how they are split."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from resnet_ops.data.depth import Depth
from resnet_ops.params import Settings
from resnet_ops.tasks.task import Detection, Segmentation, Task, TaskName, chosen
from resnet_ops.tasks.tiles import LARGEST, Tiles

__all__ = ["LISTED", "DataParams", "FitParams", "ReadParams", "SplitParams", "WindowParams"]

LARGEST_IN_TILES = 4096
"""Side in pixels of images that are seen in tiles."""


@dataclass(frozen=True, kw_only=True)
class SplitParams(Settings):
    """Shares of the images, each a fraction; they sum to 1."""

    train: float
    """Fitted on."""
    validation: float
    """Watched while fitting; used for calibration."""
    test: float
    """What the gate judges by, and the monitor's reference."""
    production: float
    """Never seen by training or gate; stands in for production traffic."""
    by_time: str | None = None
    """A column of the CSV file with the times of images, of which the oldest go into train and the newest into
    production; null, or nothing said: an image's place is a hash of its pixels."""

    def __post_init__(self) -> None:
        if self.by_time == "":
            raise ValueError("by_time is empty, but must name a column, or be null")
        shares = self.as_dict()
        wrong = {name: share for name, share in shares.items() if not 0 < share < 1}
        if wrong or abs(sum(shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares must each be above 0 and sum to 1, but are {shares}")

    def as_dict(self) -> dict[str, float]:
        """The shares by name, in the order in which splits are filled."""
        return {
            "train": self.train,
            "validation": self.validation,
            "test": self.test,
            "production": self.production,
        }


@dataclass(frozen=True, kw_only=True)
class WindowParams(Settings):
    """A range of grey levels. In `params.yaml` under `data.window`: in stored values, of DICOM files in rescaled ones,
    which are Hounsfield units for CT."""

    center: float
    """The middle of the range."""
    width: float
    """How many levels it has, 1 or more."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.center):
            raise ValueError(f"center is {self.center}, but must be a finite number")
        if not (math.isfinite(self.width) and self.width >= 1):
            raise ValueError(f"width is {self.width}, but must be 1 or more")


class FitParams(Protocol):
    """What decides how an image is brought to a model's size; each as in `DataParams`."""

    @property
    def image_size(self) -> int:
        """Side in pixels."""

    @property
    def channels(self) -> Literal[1, 3]:
        """1 for grey, 3 for colour."""

    @property
    def fit(self) -> Literal["crop", "pad"]:
        """What becomes of images that are not square."""

    @property
    def background(self) -> int:
        """Grey level that shows through."""

    @property
    def window(self) -> WindowParams | None:
        """The grey levels that are shown of more than 8 bits."""

    @property
    def depth(self) -> Depth:
        """Bits of a prepared value."""


class ReadParams(FitParams, Protocol):
    """What decides how an image file is read."""

    @property
    def grey_bits(self) -> Literal["auto"] | int:
        """Bits that are used of 16-bit grey pixels."""


LISTED = ("imagefolder", "imagenet", "split_folders", "csv")
"""Sources with a file for each image."""


@dataclass(frozen=True, kw_only=True)
class DataParams(Settings):
    """Which images, at which size. In `params.yaml` under `data`."""

    source: Literal["digits", "imagefolder", "imagenet", "split_folders", "csv", "idx", "cifar10", "cifar100"]
    """`digits` is scikit-learn's embedded set (1,797 images of 8x8); `imagefolder` is ROOT/CLASS/IMAGE; `imagenet` is
    ROOT/train/CLASS/IMAGE and ROOT/val/CLASS/IMAGE; `split_folders` is the same with val or test or both, in whatever
    spelling, and with masks or boxes images in such folders, or in VOC's lists; `csv` is a file with columns path (or
    an id in its place), class (or label_1, label_2 ... by several people) and perhaps split;
    `idx` are the four files of MNIST or Fashion-MNIST; `cifar10` and `cifar100` are their binary versions."""
    root: str | None
    """The folder, or the CSV file, absolute or relative to the project. DVC watches it, so it must be there for digits
    too: the pipeline names the file that reads them. Not read for digits."""
    image_size: int
    """Side in pixels to which images are brought."""
    channels: Literal[1, 3]
    """1 for grey, 3 for colour."""
    fit: Literal["crop", "pad"]
    """Of images that are not square: `crop` takes the square in their centre, `pad` all, with background around it."""
    background: int
    """Grey level, 0 to 255, that shows through transparent pixels, and around padded images."""
    grey_bits: Literal["auto"] | int
    """Bits that are used of 16-bit grey pixels: 12 for many detectors. `auto` takes what the brightest pixel needs."""
    window: WindowParams | None
    """The grey levels that are shown of images with more than 8 bits, instead of `grey_bits` and of the window that a
    DICOM file brings; null for none."""
    similar_classes: Literal["ask", "merge", "keep"]
    """Names that differ only in case or blanks: `ask` stops, `merge` makes them one class, `keep` has them apart."""
    conflicts: Literal["stop", "drop", "first"]
    """Of equal images with different labels: `stop` names them, `drop` leaves them all out, `first` takes the label
    that comes first. So, too, of images of which two classes have most ratings."""
    group: str | None
    """A column of the CSV file, such as patient or part, whose images are all in one split; null for none."""
    split: SplitParams
    """How the images are split."""
    depth: Depth = 8
    """Bits that grey keeps on its way to the network: 16 for detectors that write more than 8, whose levels `grey_bits`
    or `window` then spread over 0 to 65535; 8, or nothing said, for others."""
    task: TaskName = "classification"
    """What models answer with: a class for each image, for each pixel (docs/segmentation.md), or boxes around objects
    (docs/detection.md)."""
    segmentation: Segmentation | None = None
    """What the masks are, and which head reads the images; null, or nothing said, for other tasks."""
    detection: Detection | None = None
    """Where the boxes are, and which head finds them; null, or nothing said, for other tasks."""
    tiles: Tiles | None = None
    """How the network sees images that are larger than what it sees at once (docs/training.md); null, or nothing said:
    as a whole."""

    @property
    def chosen_task(self) -> Task:
        """The task with its settings."""
        return chosen(self.task, self.segmentation, self.detection, self.tiles)

    def __post_init__(self) -> None:
        chosen(self.task, self.segmentation, self.detection, self.tiles)
        if self.source != "digits" and not self.root:
            what = "CSV file" if self.source == "csv" else "image folder"
            raise ValueError(f"root must name the {what} when source is {self.source}")
        if self.source == "digits" and (self.image_size, self.channels) != (8, 1):
            raise ValueError("digits are grey images of 8x8: image_size must be 8 and channels 1")
        if self.group is not None and self.source != "csv":
            raise ValueError(
                f"group names a column of a CSV file, but source is {self.source}: set group to null"
            )
        if self.window is not None and self.source not in LISTED:
            raise ValueError(f"window is for image files, but source is {self.source}: set window to null")
        if self.depth == 16 and (self.channels != 1 or self.source not in LISTED):
            raise ValueError(
                f"depth is 16, which is for grey image files, but source is {self.source} with {self.channels} "
                "channel(s): set depth to 8, or channels to 1"
            )
        self._check_size()
        if not 0 <= self.background <= 255:
            raise ValueError(f"background is {self.background}, but must be within 0 and 255")
        if self.grey_bits != "auto" and not 8 <= self.grey_bits <= 16:
            raise ValueError(f"grey_bits is {self.grey_bits}, but must be auto or within 8 and 16")

    def _check_size(self) -> None:
        largest = LARGEST if self.tiles is None else LARGEST_IN_TILES
        if not 8 <= self.image_size <= largest:
            more = f", or {LARGEST_IN_TILES} with tiles" if self.tiles is None else ""
            raise ValueError(f"image_size is {self.image_size}, but must be within 8 and {largest}{more}")
        if self.tiles is not None and self.tiles.side > self.image_size:
            raise ValueError(
                f"tiles.side is {self.tiles.side}, but image_size is {self.image_size}: what fits into one tile needs "
                "none, so set tiles to null"
            )
