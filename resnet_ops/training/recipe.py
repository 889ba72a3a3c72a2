"""How a member is trained: every value that shapes its weights."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from resnet_ops.params import Settings
from resnet_ops.training.rare_classes.imbalance import Imbalance
from resnet_ops.training.start import Start

__all__ = ["Loss", "Recipe"]

Loss = Literal["cross_entropy", "binary", "dice"]


@dataclass(frozen=True, kw_only=True)
class Recipe(Settings):
    """In `params.yaml` under `recipes`, by name."""

    source: str
    """Where its values are from: a paper, or why they were chosen."""
    epochs: int
    """Passes over the training split."""
    batch_size: int
    """Images a step."""
    accumulate: int
    """Parts in which a step's images pass through the network, 1 for all at once: less memory, other bits."""
    optimiser: Literal["sgd", "adamw", "lamb"]
    """`sgd` has Nesterov momentum; `adamw` is Loshchilov & Hutter 2017, with peak rates about a hundredth of those;
    `lamb` is You et al. 2019, for batches of thousands."""
    peak_lr: float
    """Highest learning rate of the schedule, per 256 images of batch (Goyal et al. 2017: linear scaling)."""
    momentum: float
    """Nesterov's, a fraction, 0 for plain descent; of `adamw` and `lamb` the decay of the first moment."""
    second_moment: float
    """Decay of the second moment of `adamw` and `lamb`, a fraction; 0.999 in the papers. Not used by `sgd`."""
    weight_decay: float
    """Not applied to biases and normalisation."""
    clip: float
    """Largest norm of a step's gradient, longer ones are shortened to it (Pascanu et al. 2012); 0 for no limit."""
    schedule: Literal["one_cycle", "cosine", "step"]
    """`one_cycle` rises linearly and falls to zero linearly (Smith & Topin 2017); `cosine` rises linearly, then
    falls as a half cosine (Loshchilov & Hutter 2016); `step` rises linearly, then drops at `milestones`."""
    milestones: tuple[float, ...]
    """Shares of all steps at which the rate of `step` drops; the paper of ResNet has 0.5 and 0.75. Else unused."""
    drop: float
    """What a milestone multiplies the rate by, a fraction above 0; 0.1 in the paper of ResNet."""
    warmup: float
    """Share of the steps in which the rate rises."""
    loss: Loss
    """`cross_entropy`, or `binary`: one for each class by itself (Wightman et al. 2021); of masks `dice`: cross-entropy
    and one minus the soft Dice of each image, in which small objects count as much as large ones (Isensee et al. 2021,
    nnU-Net)."""
    label_smoothing: float
    """Share of the target spread over all classes (Szegedy et al. 2015); more of it costs calibration."""
    image_size: int
    """Side in pixels to which `crop_area` resizes, 0 for the prepared size. The model is validated at the prepared
    size; training on smaller images is faster (Touvron et al. 2019)."""
    crop_area: float
    """A rectangle of at least this share of the image is cut out at random and resized (Szegedy et al. 2014); 0.08 is
    usual for ImageNet, 1 keeps nearly all, 0 for no cut."""
    rand_augment: float
    """Magnitude of two operations on each image, drawn from 14 (Cubuk et al. 2019), 0 to 10; 0 for none."""
    rand_augment_spread: float
    """Standard deviation of that magnitude."""
    crop_padding: int
    """Images are padded by so many pixels and cut at random; 0 for none."""
    flip: bool
    """Mirror half of the images left to right; false where left and right mean something, as in digits."""
    erasing: float
    """Share of the images of which a random rectangle is hidden (Zhong et al. 2017)."""
    mixup: float
    """Alpha of averaging pairs of images (Zhang et al. 2017), 0.1 to 1; 0 for none."""
    cutmix: float
    """Alpha of cutting a rectangle of one image into another (Yun et al. 2019), about 1; 0 for none."""
    ema: float
    """Decay at each step of the moving average of the weights, which then is the model; 0 for the last weights."""
    patience: int
    """Training stops after so many epochs without a better validation score, keeping its last weights; 0 for never."""
    start: Start | None
    """The weights that training starts from; null for fresh ones."""
    imbalance: Imbalance | None = None
    """What is done for classes with few images; null, or no such key, for nothing, as before there was this setting."""
    soft_labels: bool = False
    """Train on the share of raters that named each class, where several people labelled an image (Peterson et al.
    2019), instead of the one class that most named; false, or no such key, for that."""

    def __post_init__(self) -> None:
        positive = {"epochs": self.epochs, "batch_size": self.batch_size, "peak_lr": self.peak_lr}
        for name, value in {**positive, "accumulate": self.accumulate}.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}, but must be above 0 and finite")
        fractions = {
            "momentum": self.momentum,
            "warmup": self.warmup,
            "label_smoothing": self.label_smoothing,
            "second_moment": self.second_moment,
            "ema": self.ema,
        }
        for name, value in fractions.items():
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}, but must be at least 0 and below 1")
        sizes = ("image_size", "crop_padding", "patience", "clip", "weight_decay")
        for name in (*sizes, "rand_augment_spread", "mixup", "cutmix"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 0 and finite")
        for name, most in {"erasing": 1, "crop_area": 1, "rand_augment": 10}.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be within 0 and {most}")
        if self.image_size and not self.crop_area:
            raise ValueError(f"image_size is {self.image_size}, but needs a crop_area, which resizes to it")
        if not 0 < self.drop <= 1:
            raise ValueError(f"drop is {self.drop}, but must be above 0 and at most 1")
        if not all(0 < share < 1 for share in self.milestones):
            raise ValueError(f"milestones are {list(self.milestones)}, but must be above 0 and below 1")
        if self.schedule == "step" and not self.milestones:
            raise ValueError("milestones are empty, but schedule step needs at least one")
        if self.accumulate > self.batch_size:
            raise ValueError(f"accumulate is {self.accumulate}, but must be at most batch_size")
        if self.loss == "binary" and self.imbalance is not None and self.imbalance.logit_adjustment:
            raise ValueError(
                "imbalance asks for a logit_adjustment, which is derived for loss cross_entropy, but loss is binary. "
                "Set loss to cross_entropy, or logit_adjustment to 0 and weights or sampling to balanced"
            )

        rare = self.imbalance
        if self.soft_labels and (self.loss == "binary" or (rare and (rare.weights != "none" or rare.focal))):
            raise ValueError(
                "soft_labels is true, which is for loss cross_entropy, and without imbalance's weights and focal: "
                "these are of one class an image. Set soft_labels to false, or those to cross_entropy, none and 0"
            )

    def as_dict(self) -> dict[str, Any]:
        """All settings; later ones only where they are set, so that digests of older recipes stay as they were."""
        settings = asdict(self)
        if self.imbalance is None:
            del settings["imbalance"]
        if not self.soft_labels:
            del settings["soft_labels"]
        return settings
