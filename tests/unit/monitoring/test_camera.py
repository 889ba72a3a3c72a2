"""The simulated camera."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from resnet_ops.data.depth import Pixels
from resnet_ops.errors import DataError
from resnet_ops_monitoring.drift import simulated_camera
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS, perturbed
from resnet_ops_monitoring.drift.simulated_camera import CAMERAS, seen, told
from resnet_ops_monitoring.serving import camera
from resnet_ops_monitoring.serving.camera import SIMULATION, degrade
from resnet_ops_pipelines.project_params import TrafficWindow


@pytest.mark.parametrize("shape", [(5, 8, 8, 1), (4, 32, 32, 3), (2, 48, 64, 3)])
def test_any_size_comes_out_darker_and_flatter(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(60, 256, shape, dtype=np.uint8)
    seen = degrade(images, seed=3)
    assert seen.shape == shape
    assert seen.dtype == np.uint8
    assert seen.mean() < 0.7 * images.mean()
    assert seen.std() < images.std()


def test_dirt_stays_at_its_place_in_every_image() -> None:
    white = np.full((200, 32, 32, 1), 255, np.uint8)
    one, other = (part.mean(axis=0) for part in np.split(degrade(white, seed=1).astype(float), 2))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99
    assert one.min() < 0.6 * np.median(one)


def test_the_same_seed_gives_the_same_bytes_and_another_other_dirt() -> None:
    images = np.full((3, 16, 16, 3), 200, np.uint8)
    assert np.array_equal(degrade(images, 1), degrade(images, 1))
    assert not np.array_equal(degrade(images, 1), degrade(images, 2))


def test_many_images_are_degraded_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    at_once = degrade(images, 1)
    monkeypatch.setattr(camera, "_VALUES", 2 * images[0].size)
    assert np.array_equal(degrade(images, 1), at_once)


@pytest.mark.parametrize("shape", [(5, 7, 8, 1), (5, 8, 8, 4), (8, 8, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="at least 8x8"):
        degrade(np.zeros(shape, np.uint8), seed=0)


def test_it_says_that_it_is_simulated() -> None:
    assert SIMULATION.startswith("Simulated")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("as_recorded", lambda images: images),
        ("dirty", lambda images: degrade(images, 3)),
        ("darkened 4", lambda images: perturbed(images, "darkened", 4, 3)),
        ("defocus_blur 2", lambda images: perturbed(images, "defocus_blur", 2, 3)),
    ],
)
def test_simulated_traffic_passes_the_camera_that_its_window_names(
    name: str, expected: Callable[[Pixels], Pixels]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 1), dtype=np.uint8)
    assert np.array_equal(seen(images, name, 3), expected(images))


def test_many_images_are_changed_a_few_at_once_without_the_same_noise_in_each_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, sizes = np.full((5, 16, 16, 1), 100, dtype=np.uint8), list[int]()

    def noted(part: Pixels, kind: str, severity: int, seed: int) -> Pixels:
        sizes.append(len(part))
        return perturbed(part, kind, severity, seed)

    monkeypatch.setattr(simulated_camera, "_VALUES", 2 * 16 * 16)
    monkeypatch.setattr(simulated_camera, "perturbed", noted)
    assert np.array_equal(seen(images, "darkened 4", 3), perturbed(images, "darkened", 4, 3))
    assert sizes == [2, 2, 1]
    assert len({image.tobytes() for image in seen(images, "gaussian_noise 2", 3)}) == 5


def test_every_camera_is_told_apart_and_as_simulated() -> None:
    told_of = [told(name) for name in CAMERAS]
    assert len({*told_of}) == len(CAMERAS) == 2 + len(PERTURBATIONS)
    assert all(each.startswith("Simulated") for each in told_of)
    assert "defocus blur" in told("defocus_blur 3")


@pytest.mark.parametrize("name", ["darkened", "darkened 6", "darkened 0", "dirty 2", "dusty", ""])
def test_a_camera_that_there_is_not_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=r"as_recorded, dirty, .*severity.*defocus_blur.*darkened"):
        TrafficWindow(camera=name, start=datetime(2026, 1, 5, tzinfo=UTC), hours=2)
