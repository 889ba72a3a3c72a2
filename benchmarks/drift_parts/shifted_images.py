"""Held-out images of three data sets, clean and shifted, as a small model of our own scores them; kept in a folder.

The last class of each data set is left out of training: its images are the ones that the model never learned.
"""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.images import prepared, published, read_cifar10
from resnet_ops.data import image_stats
from resnet_ops.data.sources import SplitParams, read_digits, read_source
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel
from resnet_ops.params import parse_params
from resnet_ops.training.engine import Engine
from resnet_ops.training.loop import fit
from resnet_ops.training.plan import Plan
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS, perturbed
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_pipelines.project_params import Params

__all__ = [
    "CASES",
    "REHEARSED",
    "SHIFTS",
    "Case",
    "Scores",
    "as_bytes",
    "contrast",
    "fashion",
    "jpeg",
    "kept_scores",
    "noise",
    "rotated",
    "scaled",
    "scores_of",
]

Images = NDArray[np.uint8]
ROOT = Path(__file__).resolve().parents[2]
SHARES = SplitParams(train=0.25, validation=0.25, test=0.25, production=0.25)
WIDE = Member(depth=8, widths=(32, 64, 128), stem_kernel=3, stem_stride=1, shortcut="projection")
NARROW = Member(depth=8, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="projection")
ENGINE = Engine(
    device="cpu", processes=1, threads=1, precision="bf16", compile=False, exact=True, images="memory"
)
CLEAN, UNSEEN = "clean", "unseen"
REHEARSED = "rehearsed "
"""Before a kind of perturbation and its severity."""
SPOILT = 200
"""Images that each spoiling is tried on."""


@dataclass(frozen=True)
class Case:
    """A data set with the member that is trained on it."""

    name: str
    member: Member
    recipe: str
    epochs: int
    held_out: int
    """Training images that are kept back, beside the data set's own test images."""
    harmful: tuple[str, ...]
    """Shifts of images whose alarms are shown; digits of 8 x 8 pixels need stronger ones."""
    read: Callable[[Path], tuple[Images, NDArray[np.int64], int]]
    """From the folder of all data sets: images, labels, and how many of the first ones may be trained on."""


@dataclass(frozen=True)
class Scores:
    """What the model says of n images."""

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    """-1: of the class that the model never learned."""
    statistics: NDArray[np.float32]
    """(n, 5) brightness, contrast, sharpness, saturation, entropy."""

    @classmethod
    def of(cls, model: TrainedModel, images: Images, labels: NDArray[np.int64]) -> "Scores":
        """What the model says of these images."""
        found = model.predict(images)
        statistics = np.stack(list(image_stats(images).values()), axis=1)
        return cls(found.probabilities, found.embeddings, labels, statistics)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: NDArray[np.int64] | NDArray[np.bool_] | slice) -> "Scores":
        return Scores(
            self.probabilities[rows], self.embeddings[rows], self.labels[rows], self.statistics[rows]
        )

    def __add__(self, other: "Scores") -> "Scores":
        return Scores(
            np.concatenate([self.probabilities, other.probabilities]),
            np.concatenate([self.embeddings, other.embeddings]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.statistics, other.statistics]),
        )

    @property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        return np.asarray(self.predicted == self.labels, dtype=bool)


def digits(_: Path) -> tuple[Images, NDArray[np.int64], int]:
    raw = read_digits()
    order = np.random.default_rng(0).permutation(len(raw.labels))
    return raw.images[order], raw.labels[order], 700


def fashion(data: Path) -> tuple[Images, NDArray[np.int64], int]:
    raw = read_source(published("idx", data / "fashion-mnist", 28, 1))
    order = np.argsort([name.startswith("t10k") for name in raw.paths], kind="stable")
    return raw.images[order], raw.labels[order], 60_000


def cifar10(data: Path) -> tuple[Images, NDArray[np.int64], int]:
    packed = data / "cifar10" / "cifar10_jpeg.npz"
    given = read_cifar10(packed if packed.exists() else packed.parent)
    return given.images, given.labels, 50_000


CASES = (
    Case("digits", NARROW, "digits", 12, 0, ("JPEG q15", "channels swapped", "rotated 15"), digits),
    Case("Fashion-MNIST", NARROW, "fast-cifar", 3, 9_000, ("JPEG q40", "channels swapped", "blur"), fashion),
    Case("CIFAR-10", WIDE, "fast-cifar", 8, 9_000, ("JPEG q40", "channels swapped", "blur"), cifar10),
)


def scaled(factor: float) -> Callable[[Images], Images]:
    """Darker or brighter."""
    return lambda images: as_bytes(images * np.float32(factor))


def contrast(factor: float) -> Callable[[Images], Images]:
    """Nearer to or farther from each image's mean."""

    def apply(images: Images) -> Images:
        mean = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float32)
        return as_bytes((images - mean) * factor + mean)

    return apply


def _gamma(power: float) -> Callable[[Images], Images]:
    return lambda images: as_bytes(255 * (images / np.float32(255)) ** power)


def noise(sigma: float) -> Callable[[Images], Images]:
    """sigma: of Gaussian noise, in grey levels; the same on every call."""
    return lambda images: as_bytes(images + np.random.default_rng(0).normal(0, sigma, images.shape))


def _blur(sigma: float) -> Callable[[Images], Images]:
    """sigma: in pixels of an image that is 32 wide."""

    def apply(images: Images) -> Images:
        width = sigma * images.shape[1] / 32
        return as_bytes(ndimage.gaussian_filter(images.astype(np.float32), (0, width, width, 0)))

    return apply


def rotated(degrees: float) -> Callable[[Images], Images]:
    """About the middle; what comes from outside repeats the edge."""

    def apply(images: Images) -> Images:
        turned = ndimage.rotate(
            images.astype(np.float32), degrees, axes=(1, 2), reshape=False, order=1, mode="nearest"
        )
        return as_bytes(turned)

    return apply


def _moved(share: float) -> Callable[[Images], Images]:
    def apply(images: Images) -> Images:
        pixels = share * images.shape[1]
        moved = ndimage.shift(images.astype(np.float32), (0, 0, pixels, 0), order=1, mode="nearest")
        return as_bytes(moved)

    return apply


def jpeg(quality: int) -> Callable[[Images], Images]:
    """Written and read again."""

    def one(image: Images) -> Images:
        file = io.BytesIO()
        Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)).reshape(image.shape)

    return lambda images: np.stack([one(image) for image in images])


def _channels(images: Images) -> Images:
    """Red and blue swapped; grey images, which have none to swap, come as negatives: a wiring fault too."""
    return images[..., ::-1] if images.shape[3] == 3 else np.asarray(255 - images, dtype=np.uint8)


def _greyed(images: Images) -> Images:
    """Without colour; for grey images with the picture's lower quarter cut off."""
    if images.shape[3] == 3:
        return as_bytes(np.repeat(images.mean(axis=3, keepdims=True), 3, axis=3))
    cut = images.copy()
    cut[:, -images.shape[1] // 4 :] = 0
    return cut


def as_bytes(values: NDArray[np.floating]) -> Images:
    """Rounded, and cut off at 0 and 255."""
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


SHIFTS: dict[str, Callable[[Images], Images]] = {
    "brightness x 0.9": scaled(0.9),
    "brightness x 1.1": scaled(1.1),
    "contrast x 0.9": contrast(0.9),
    "noise 2": noise(2),
    "JPEG q95": jpeg(95),
    "JPEG q40": jpeg(40),
    "JPEG q15": jpeg(15),
    "channels swapped": _channels,
    "blur": _blur(1.0),
    "slight blur": _blur(0.6),
    "noise 12": noise(12),
    "noise 25": noise(25),
    "contrast x 0.5": contrast(0.5),
    "contrast x 0.3": contrast(0.3),
    "brightness x 0.5": scaled(0.5),
    "brightness x 1.5": scaled(1.5),
    "gamma 2": _gamma(2),
    "rotated 15": rotated(15),
    "rotated 30": rotated(30),
    "moved 1/8": _moved(1 / 8),
    "colour lost": _greyed,
    "dirty camera": lambda images: degrade(images, 0),
}
"""Each of (N, H, W, C) uint8. Blur and moves are by the size of the picture."""


def scores_of(case: Case, data: Path, cache: Path) -> dict[str, Scores]:
    """Clean held-out images, those of the unseen class, and the second half of the clean ones under every shift.

    The second half, so that no image is in a reference as it was and in a window as it became. Images of the first half
    are spoilt for the accuracy calibration.
    """
    return kept_scores(cache / f"{case.name}.npz", lambda: _score(case, data))


def kept_scores(path: Path, score: Callable[[], dict[str, Scores]]) -> dict[str, Scores]:
    """Scores by name: those of a file, which is made where it is not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        parts: dict[str, NDArray[Any]] = {}
        for name, each in score().items():
            whole: list[NDArray[Any]] = [each.probabilities, each.embeddings, each.labels, each.statistics]
            parts |= {f"{name}/{part}": array for part, array in enumerate(whole)}
        np.savez(path, allow_pickle=False, **parts)
    with np.load(path) as stored:
        names = dict.fromkeys(key.rsplit("/", 1)[0] for key in stored)
        return {name: Scores(*(stored[f"{name}/{part}"] for part in range(4))) for name in names}


def _score(case: Case, data: Path) -> dict[str, Scores]:
    images, labels, learnable = case.read(data)
    unseen = int(labels.max())
    learned = np.flatnonzero(labels[: learnable - case.held_out] != unseen)
    held = np.arange(learnable - case.held_out, len(labels))
    held = np.random.default_rng(0).permutation(held[labels[held] != unseen])
    validation = held[:200]
    order = np.concatenate([learned, validation])
    learn = prepared(images[order], labels[order], len(learned), tuple(map(str, range(unseen))))
    recipe = replace(
        parse_params(ROOT / "params.yaml", Params).recipes[case.recipe],
        epochs=case.epochs,
    )
    model = fit(Plan(name="drift", member=case.member, recipe=recipe, engine=ENGINE, seed=0), learn, [])

    scored = partial(Scores.of, model)
    clean, half = held[200:], held[200 + (len(held) - 200) // 2 :][:4500]
    strangers = np.flatnonzero(labels[learnable - case.held_out :] == unseen) + learnable - case.held_out
    found = {
        CLEAN: scored(images[clean], labels[clean]),
        UNSEEN: scored(images[strangers], np.full(len(strangers), -1)),
    }
    for name, shift in SHIFTS.items():
        found[name] = scored(shift(images[half]), labels[half])
        print(f"{case.name}: {name}, {found[name].right.mean():.3f} right", file=sys.stderr, flush=True)
    first, rng = clean[: len(clean) // 2], np.random.default_rng(0)
    for kind, severity in PERTURBATIONS:
        some = rng.permutation(first)[:SPOILT]
        found[f"{REHEARSED}{kind} {severity}"] = scored(
            perturbed(images[some], kind, severity, 0), labels[some]
        )
    return found
