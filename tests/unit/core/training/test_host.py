"""With images on a GPU the host draws a few numbers an image, and nothing waits: shown on torch's `meta` device."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from resnet_ops.data import ManifestRow, PreparedData
from resnet_ops.families.build import build_network
from resnet_ops.model import ImageClassifier
from resnet_ops.training import loop
from resnet_ops.training.augmentation.randaugment import OPERATIONS
from resnet_ops.training.batches import augment_batch
from resnet_ops.training.distributed.share import share_of
from resnet_ops.training.loop import Training
from resnet_ops.training.rare_classes.imbalance import Imbalance
from tests.unit.core.host import HostWatch
from tests.unit.core.makers import TINY, make_imbalance, make_plan, make_recipe

META = torch.device("meta")
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "crop and flip": {"crop_padding": 4, "flip": True},
    "resized crop": {"crop_area": 0.1},
    "resized crop to another size": {"crop_area": 0.1, "image_size": 24},
    "rand_augment": {"rand_augment": 6.0, "rand_augment_spread": 0.5},
    "erasing": {"erasing": 0.5},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "all": {
        **{
            "crop_area": 0.1,
            "rand_augment": 6.0,
            "rand_augment_spread": 0.5,
            "crop_padding": 4,
            "flip": True,
        },
        **{"erasing": 0.5, "mixup": 0.4, "cutmix": 1.0},
    },
}
WEIGHED = make_imbalance(weights="balanced", sampling="square_root", focal=2.0)
FEW = 6 * 8
"""Bytes an image in one tensor on the host, at most: six numbers."""


def watch_batch(changes: dict[str, Any], side: int, channels: int, rank: int, workers: int) -> HostWatch:
    """What the host does while 64 images on `meta` are augmented for one of the workers."""
    share = share_of(64, 1, rank, workers)
    classifier = ImageClassifier(build_network(TINY, channels, 10), (0.5,) * channels, (0.2,) * channels).to(
        META
    )
    places = len(torch.arange(64)[share.places])
    images = torch.empty(places, side, side, channels, dtype=torch.uint8, device=META)
    labels = torch.empty(places, dtype=torch.int64, device=META)
    recipe = make_recipe(**{"crop_padding": 0, **changes})
    with HostWatch() as watch:
        for seed in range(2):
            generator = torch.Generator().manual_seed(seed)
            inputs, targets = augment_batch(classifier, images, labels, recipe, generator, share)
    assert inputs.is_meta
    assert targets.first.is_meta
    assert inputs.shape[0] == 64 // workers
    return watch


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_takes_a_few_numbers_an_image_from_the_host_and_never_waits(
    name: str, channels: int, workers: int
) -> None:
    small, large = (
        watch_batch(AUGMENTATIONS[name], side, channels, workers - 1, workers) for side in (32, 160)
    )
    for watch in (small, large):
        assert watch.waits == []
        assert watch.largest <= FEW * 64
        assert watch.on_device > 0
    assert (small.largest, small.sent) == (large.largest, large.sent), "it grows with the pixels"


@pytest.mark.parametrize("name", OPERATIONS)
def test_no_operation_of_rand_augment_waits(name: str) -> None:
    images = torch.empty(5, 3, 40, 40, dtype=torch.uint8, device=META)
    with HostWatch() as watch:
        found = OPERATIONS[name](images, -0.7)
    assert found.is_meta
    assert watch.waits == []
    assert watch.largest <= FEW


def made(side: int) -> PreparedData:
    """96 images to train on and 40 to validate."""
    rows = [
        ManifestRow(
            index=index,
            path=str(index),
            label=index % 10,
            class_name=str(index % 10),
            split="train" if index < 96 else "validation",
            sha256="0" * 64,
            width=side,
            height=side,
        )
        for index in range(136)
    ]
    images = np.zeros((136, side, side, 3), np.uint8)
    return PreparedData(images, np.arange(136) % 10, rows, tuple("0123456789"))


def watch_training(side: int, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> HostWatch:
    """What the host does while an epoch is trained and validated, of which only the results are not read."""
    monkeypatch.setattr(loop, "set_up", lambda *_: META)
    data = made(side)
    plan = make_plan(make_recipe(**changes))
    training = Training(plan, data.split("train"), data.split("validation"))
    with HostWatch() as watch:
        training.state.start_epoch(96)
        steps = list(training.take_steps(training.state.order(96).split(32)))
        sums = training.validation.add_up(training.judged)
    assert steps == [1, 2, 3]
    assert sums.is_meta
    return watch


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        AUGMENTATIONS["all"],
        {"accumulate": 3, "clip": 1.0, "ema": 0.9},
        {"optimiser": "adamw", "loss": "binary", "cutmix": 1.0},
        {"optimiser": "lamb"},
        {"mixup": 0.4, "imbalance": WEIGHED},
        {"loss": "binary", "cutmix": 1.0, "imbalance": WEIGHED},
        {"imbalance": make_imbalance(sampling="square_root", logit_adjustment=1.0)},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_a_whole_epoch_with_its_validation_never_waits(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large = (watch_training(side, monkeypatch, **changes) for side in (32, 96))
    for watch in (small, large):
        assert watch.waits == []
    assert (small.largest, small.sent) == (large.largest, large.sent), "it grows with the pixels"


def test_the_watch_sees_every_kind_of_wait() -> None:
    on_device = torch.empty(4, 3, device=META)
    with HostWatch() as watch:
        torch.tensor([1.0, 2.0], device=META)
        on_device.new_tensor([1.0])
        on_device[torch.tensor([0, 1])]
        torch.ones(3).to(META)
        on_device.copy_(torch.ones(4, 3))
        torch.zeros(100).to(META, non_blocking=True)
    assert len(watch.waits) == 5
    assert watch.largest == 400
    for read in (lambda: on_device.sum().item(), lambda: on_device.nonzero(), lambda: bool(on_device.any())):
        with HostWatch() as watch, pytest.raises((RuntimeError, NotImplementedError)):
            read()
        assert len(watch.waits) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("imbalance", [None, WEIGHED, make_imbalance(logit_adjustment=1.0)])
def test_on_a_gpu_torch_itself_finds_no_wait(imbalance: Imbalance | None, exact: bool) -> None:
    data = made(32)
    recipe = make_recipe(**AUGMENTATIONS["all"], ema=0.9, imbalance=imbalance)
    plan = make_plan(recipe, device="cuda", precision="bf16", exact=exact)
    training = Training(plan, data.split("train"), data.split("validation"))
    list(training.take_steps(torch.arange(96).split(32)))
    with waits_refused():
        list(training.take_steps(torch.arange(96).split(32)))
        training.validation.add_up(training.judged)


@contextmanager
def waits_refused() -> Iterator[None]:
    """Whatever waits for the GPU raises RuntimeError; torch warns that this mode is a prototype."""
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_wait_is_refused() -> None:
    on_device = torch.ones(3, device="cuda")
    with waits_refused(), pytest.raises(RuntimeError, match="synchronizing"):
        on_device.sum().item()
    assert on_device.sum().item() == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_on_a_gpu_images_are_augmented_as_on_the_cpu(name: str) -> None:
    """Rounding may choose another of two neighbouring pixels or values, rarely."""
    images = torch.randint(0, 256, (64, 32, 32, 3), generator=torch.Generator().manual_seed(1)).to(
        torch.uint8
    )
    recipe = make_recipe(**{"crop_padding": 0, **AUGMENTATIONS[name]})
    found = []
    for device in ("cpu", "cuda"):
        classifier = ImageClassifier(build_network(TINY, 3, 10), (0.5,) * 3, (0.2,) * 3).to(device)
        generator, share = torch.Generator().manual_seed(3), share_of(64, 1, 0, 1)
        labels = torch.arange(64, device=device) % 10
        inputs, targets = augment_batch(classifier, images.to(device), labels, recipe, generator, share)
        found.append((inputs.cpu(), targets.second.cpu()))
    assert torch.equal(found[0][1], found[1][1])
    assert ((found[0][0] - found[1][0]).abs() > 1e-4).float().mean() < 0.01
