"""The tasks and their settings: known without torch."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, get_args

from resnet_ops.errors import ConfigError
from resnet_ops.params import Settings
from resnet_ops.tasks.tiles import Tiles

__all__ = [
    "BACKGROUND",
    "CLASSIFICATION",
    "CONFIDENCE",
    "IGNORED",
    "PADDED",
    "Classification",
    "CocoMasks",
    "Detection",
    "Detector",
    "Headline",
    "PixelHead",
    "Remedy",
    "Segmentation",
    "Task",
    "TaskName",
    "chosen",
    "images_at_once",
    "noted_task",
    "require_per_image",
    "task_from_json",
    "tiles_of",
]

TaskName = Literal["classification", "segmentation", "detection"]
Remedy = Literal["refuse", "drop", "clip"]
"""Of faults in labels of boxes: none is accepted; what is at fault is left out; likewise, but boxes that reach out of
an image are cut."""
Detector = Literal["fasterrcnn", "fasterrcnn_v2", "retinanet", "retinanet_v2", "fcos"]
"""Ren et al. 2015; Lin et al. 2017; Tian et al. 2019. The second versions are of Li et al. 2021, as in torchvision."""
PixelHead = Literal["fcn", "deeplabv3", "unet"]
"""Long et al. 2015 and Chen et al. 2017, both as in torchvision; Ronneberger et al. 2015."""
Value = int | tuple[int, int, int]
"""What stands for a class in a mask: an index or grey level, or a colour."""

MOST_CLASSES, LONGEST_CLASS = 250, 200
CONFIDENCE = "confidence"
"""Of a task's numbers for drift the one that says, in [0, 1], how sure the model is of an image."""
IGNORED = 255
"""In a prepared mask: a pixel of which nothing is asked."""
PADDED = 254
"""In a mask that is trained on: a pixel beside the image, which is learned as background and measured by nobody."""
BACKGROUND = "background"
"""The first class where objects are in boxes: that of an image without any."""


@dataclass(frozen=True)
class Headline:
    """The metric by which models of a task are compared first: `test.<name>`, and `validation.<name>` to choose by."""

    name: str
    label: str
    """For a person."""
    higher_is_better: bool = True


@dataclass(frozen=True)
class Classification:
    """One class for each image; the head is the member's own."""

    name: ClassVar[TaskName] = "classification"
    """As `data.task` calls it."""

    @property
    def headline(self) -> Headline:
        """What it is compared by first."""
        return Headline("top1", "top-1")

    @property
    def per_image(self) -> bool:
        """Whether an answer is a probability for each class of an image, which scorer, log and drift take."""
        return True


@dataclass(frozen=True, kw_only=True)
class CocoMasks(Settings):
    """Masks that are drawn from outlines in a COCO file. In `params.yaml` under `data.segmentation.masks`."""

    labels: str
    """The COCO file, below `data.root`, or the folder of folders with one each."""
    images: str
    """The folder of its images, below `data.root`; `.` for `data.root` itself."""
    faults: Remedy
    """What becomes of faults in the file."""

    def __post_init__(self) -> None:
        _check_labels(self.labels, self.images, self.faults)


@dataclass(frozen=True, kw_only=True)
class Segmentation(Settings):
    """A class for each pixel. In `params.yaml` under `data.segmentation`, with `data.task: segmentation`."""

    name: ClassVar[TaskName] = "segmentation"
    """As `data.task` calls it."""

    masks: str | CocoMasks
    """How a mask's name ends, which else is that of its image without ending: `.png` for tile.png beside tile.jpg,
    `_mask.png` for tile_mask.png. Or where the outlines are from which masks are drawn."""
    classes: dict[str, Value]
    """By name what stands for a class in a mask: an index or grey level, or a colour as [red, green, blue]. The first
    is the background. Where masks are drawn, names are those of the COCO file, and of objects that lie over each other
    the one whose class has the higher number is seen."""
    threshold: int | None
    """For masks with soft edges: grey levels from it on are the second class, all others the first. Null for none."""
    ignore: Value | None
    """What stands in a mask for pixels of which nothing is asked; null for none."""
    head: PixelHead
    """`fcn` and `deeplabv3` read the member's last stage; `unet` joins every stage on the way back to the image's size,
    for fine outlines."""
    dilated: int
    """Last stages of the member whose stride becomes dilation, so that the head sees a finer map, 0 for none; 2 in
    torchvision. A finer map costs time."""
    auxiliary: bool
    """Whether a second head on the stage before the last is trained with half the weight, as in torchvision."""

    def __post_init__(self) -> None:
        _check_classes(self.classes, self.threshold, self.ignore)
        if isinstance(self.masks, str):
            _check_ending(self.masks)
        elif self.threshold is not None or self.ignore is not None:
            raise ValueError(
                "masks are drawn from outlines, which need no threshold and no ignore: set both to null"
            )
        elif not all(isinstance(value, int) for value in self.classes.values()):
            raise ValueError(
                "classes have colours, but masks are drawn: give each a number, the highest to what lies on top"
            )
        if self.head not in get_args(PixelHead):
            raise ValueError(f"head is {self.head!r}, but must be one of {', '.join(get_args(PixelHead))}")
        if not 0 <= self.dilated <= 3:
            raise ValueError(f"dilated is {self.dilated}, but must be within 0 and 3")

    @property
    def headline(self) -> Headline:
        """What it is compared by first."""
        return Headline("miou", "mIoU")

    @property
    def per_image(self) -> bool:
        """As `Classification.per_image`: an answer here is of pixels."""
        return False


@dataclass(frozen=True, kw_only=True)
class Detection(Settings):
    """Boxes around objects. In `params.yaml` under `data.detection`, with `data.task: detection`."""

    name: ClassVar[TaskName] = "detection"
    """As `data.task` calls it."""

    labels: str
    """Below `data.root`: a COCO file, a folder of folders with one each, a CSV file of boxes, a folder of Pascal VOC or
    YOLO text, or a list of VOC's images; `.` for `data.root` itself."""
    images: str
    """The folder of their images, below `data.root`."""
    classes: tuple[str, ...]
    """The objects to find; a label with another name is a fault."""
    faults: Remedy
    """What becomes of faults in the labels."""
    head: Detector
    """`fasterrcnn` looks twice and takes longest; `fcos` needs no anchors, which suits objects of any size."""
    width: int
    """Channels of the feature pyramid, and of the head on it; 256 in torchvision. Half as many take a quarter of the
    time."""
    frozen_norms: bool
    """Whether the member's batch norms keep their statistics and weights, for trained weights and few images a
    batch."""

    def __post_init__(self) -> None:
        _check_labels(self.labels, self.images, self.faults)
        _check_names(self.classes)
        if not 1 <= len(self.classes) < MOST_CLASSES or len({*self.classes}) < len(self.classes):
            raise ValueError(
                f"classes must be 1 to {MOST_CLASSES - 1} names, each once, but are {len(self.classes)}"
            )
        if BACKGROUND in self.classes:
            raise ValueError(
                f"classes have {BACKGROUND!r}, as an image without objects is called: name another"
            )
        if self.head not in get_args(Detector):
            raise ValueError(f"head is {self.head!r}, but must be {', '.join(get_args(Detector))}")
        if not 32 <= self.width <= 1024 or self.width % 32:
            raise ValueError(f"width is {self.width}, but must be a multiple of 32, up to 1024")

    @property
    def headline(self) -> Headline:
        """What it is compared by first."""
        return Headline("ap", "AP")

    @property
    def per_image(self) -> bool:
        """As `Classification.per_image`: an answer here is of objects."""
        return False


Task = Classification | Segmentation | Detection
"""Any task with its settings."""

CLASSIFICATION = Classification()


@dataclass(frozen=True)
class TiledClassification(Classification):
    """One class for each image, from what the network says of its tiles."""

    tiles: Tiles


@dataclass(frozen=True, kw_only=True)
class TiledSegmentation(Segmentation):
    """A class for each pixel, from the tile that sees most around it."""

    tiles: Tiles


def chosen(
    name: TaskName,
    segmentation: Segmentation | None,
    detection: Detection | None,
    tiles: Tiles | None = None,
) -> Task:
    """The task that `data.task` names, with its settings, in tiles where there are any.

    Raises ValueError where settings are missing, or another task's.
    """
    asks = {"segmentation": "what the masks are", "detection": "where the boxes are"}
    settings: dict[str, Task | None] = {"segmentation": segmentation, "detection": detection}
    for other, given in settings.items():
        if given is None and other == name:
            raise ValueError(f"{name} is missing: task is {name}, so say there {asks[other]}")
        if given is not None and other != name:
            raise ValueError(f"{other} has settings, but task is {name}: set task to {other}")
    task = settings.get(name) or CLASSIFICATION
    return task if tiles is None else _tiled(task, tiles)


def _tiled(task: Task, tiles: Tiles) -> Task:
    """The task as it answers from tiles. Raises ValueError where it cannot."""
    match task:
        case Detection():
            raise ValueError("tiles has settings, but boxes are not found in tiles yet: set tiles to null")
        case Segmentation():
            if tiles.pool is not None:
                raise ValueError(
                    f"tiles.pool is {tiles.pool}, but classes of pixels are put together as tiles lie: set it to null"
                )
            return TiledSegmentation(**vars(task), tiles=tiles)
        case _:
            if tiles.pool is None:
                raise ValueError("tiles.pool is null, but an image has one class: set it to mean or max")
            return TiledClassification(tiles)


def tiles_of(task: Task) -> Tiles | None:
    """How its network sees large images; None where it sees each as a whole."""
    return task.tiles if isinstance(task, TiledClassification | TiledSegmentation) else None


def images_at_once(task: Task, side: int, most: int) -> int:
    """How many images of this side are asked about together: `most`, or fewer where they are in tiles."""
    tiles = tiles_of(task)
    return most if tiles is None else tiles.images_at_once(side, most)


def _check_ending(masks: str) -> None:
    if not masks:
        raise ValueError("masks is empty, but must say how the names of masks end, such as .png")
    if not masks.isprintable() or any(sign in masks for sign in "/\\"):
        raise ValueError(f"masks is {masks!r}, but must be the end of a file's name, beside its image")


def _check_labels(labels: str, images: str, faults: str) -> None:
    """Raise ValueError that begins with the setting which is wrong."""
    for name, value in (("labels", labels), ("images", images)):
        path = PurePosixPath(value)
        if not value or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{name} is {value!r}, but must be a path below data.root, which DVC watches")
    if faults not in get_args(Remedy):
        raise ValueError(f"faults is {faults!r}, but must be {', '.join(get_args(Remedy))}")


def _check_names(classes: Iterable[str]) -> None:
    """Likewise, of names alone."""
    for name in classes:
        if not (name.strip() == name and 0 < len(name) <= LONGEST_CLASS and name.isprintable()):
            raise ValueError(
                f"classes have {name[:LONGEST_CLASS]!r}, but a name is 1 to {LONGEST_CLASS} printable signs, no blanks "
                "around them"
            )


def _check_classes(classes: Mapping[str, Value], threshold: int | None, ignore: Value | None) -> None:
    """Raise ValueError that begins with the setting which is wrong."""
    values = [*classes.values(), *([] if ignore is None else [ignore])]
    parts = [part for value in values for part in (value if isinstance(value, tuple) else (value,))]
    _check_names(classes)
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise ValueError(f"classes are {len(classes)}, but must be 2 to {MOST_CLASSES}, the background first")
    if not all(0 <= part <= 255 for part in parts):
        raise ValueError(f"classes have {values}, but what stands for a class must be within 0 and 255")
    if len({isinstance(value, tuple) for value in values}) > 1:
        raise ValueError("classes and ignore must all be levels, or all be colours")
    if len(set(values)) < len(values):
        raise ValueError(f"classes and ignore have {values}: each must stand for one thing only")
    if threshold is None:
        return
    if not 1 <= threshold <= 255:
        raise ValueError(f"threshold is {threshold}, but must be within 1 and 255")
    if len(classes) != 2 or ignore is not None or isinstance(values[0], tuple):
        raise ValueError(
            f"threshold is {threshold}, which tells two grey classes apart: give two, and no ignore"
        )


def require_per_image(task: Task, what: str) -> None:
    """Raise ConfigError where answers are not a probability for each class of an image. what: that takes only these."""
    if not task.per_image:
        raise ConfigError(
            f"{what} takes a probability for each class of an image, and is not there for {task.name} yet. What is: "
            f"docs/{task.name}.md."
        )


def noted_task(task: Task) -> dict[str, Any]:
    """What a description says of a task under `task`: nothing of classification, which came first."""
    return {} if task == CLASSIFICATION else {"task": {"name": task.name, **asdict(task)}}


def task_from_json(settings: Mapping[str, Any] | None) -> Task:
    """The task that a description has under `task`, or classification. Raises KeyError, TypeError, ValueError."""
    if settings is None:
        return CLASSIFICATION
    values = dict(settings)
    name, tiles = values.pop("name"), values.pop("tiles", None)
    task = _from_json(name, values)
    return task if tiles is None else _tiled(task, Tiles(**tiles))


def _from_json(name: str, values: dict[str, Any]) -> Task:
    match name:
        case Segmentation.name:
            values["classes"] = {name: _value(value) for name, value in values["classes"].items()}
            if isinstance(values["masks"], dict):
                values["masks"] = CocoMasks(**values["masks"])
            return Segmentation(**{**values, "ignore": _value(values["ignore"])})
        case Detection.name:
            return Detection(**{**values, "classes": tuple(values["classes"])})
        case Classification.name:
            return Classification(**values)
        case _:
            raise ValueError(f"no task is called {name!r}")


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
