"""Corruptions: the paper's formulas and settings, against Pillow and SciPy where they know the same operation."""

import colorsys
import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from resnet_ops.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from resnet_ops.evaluation.corruptions.blur import smear
from resnet_ops.evaluation.corruptions.jpeg import through_jpeg
from resnet_ops.evaluation.corruptions.resampling import blur_matrix, enlarge, on_both_sides
from resnet_ops.evaluation.corruptions.severities import CIFAR_C, IMAGENET_C, setting
from resnet_ops.evaluation.corruptions.weather import plasma

SIDES = {32: CIFAR_C, 224: IMAGENET_C}
STRONGER = [name for name in CORRUPTIONS if name not in ("frost", "glass_blur", "elastic_transform", "snow")]
"""Whose severities differ in strength alone; the paper's others change in kind too."""


def photos(count: int, side: int, channels: int, seed: int = 0) -> np.ndarray:
    """Pictures with edges and soft parts, contrast and colour, like photographs."""
    rng = np.random.default_rng(seed)
    soft = plasma(count * channels, (side, side), 2.2, rng).reshape(count, channels, side, side)
    rows, columns = np.mgrid[:side, :side] / side
    down, across = rng.uniform(0.4, 0.6, (2, count, 1, 1, 1))
    disk = (rows - down) ** 2 + (columns - across) ** 2 < 0.09
    mixed = 0.15 + 0.5 * soft + 0.3 * disk
    return np.asarray(np.rint(mixed * 255), np.uint8).transpose(0, 2, 3, 1)


def grey(side: int, level: int = 128, count: int = 4, channels: int = 3) -> np.ndarray:
    return np.full((count, side, side, channels), level, np.uint8)


def psnr(images: np.ndarray, other: np.ndarray) -> float:
    """In dB, from the mean squared error over all images."""
    error = np.mean((images.astype(float) - other) ** 2) / 255**2
    return float(-10 * np.log10(error))


def fractions(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float64) / 255


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_the_papers_strength(side: int, severity: int) -> None:
    (deviation,), (photons,), (share,) = (
        SIDES[side][name][severity - 1] for name in ("gaussian_noise", "shot_noise", "impulse_noise")
    )
    count = 40 if side == 32 else 1
    flat = grey(side, count=count)
    normal = fractions(corrupt(flat, "gaussian_noise", severity, 0)) - 128 / 255
    inside = abs(normal) < 0.49  # the rest was cut off at black or white
    expected = np.random.default_rng(1).normal(0, deviation, 400_000)
    expected = expected[abs(expected) < 0.49]
    assert normal[inside].std() == pytest.approx(expected.std(), rel=0.02)
    dark = grey(side, level=51, count=count)
    shots = fractions(corrupt(dark, "shot_noise", severity, 0))
    drawn = np.clip(np.random.default_rng(1).poisson(0.2 * photons, 400_000) / photons, 0, 1)
    drawn = np.rint(drawn * 255) / 255
    assert (shots.mean(), shots.std()) == (
        pytest.approx(drawn.mean(), rel=0.02),
        pytest.approx(drawn.std(), rel=0.02),
    )
    impulses = corrupt(flat, "impulse_noise", severity, 0)
    struck = np.isin(impulses, (0, 255))
    assert struck.mean() == pytest.approx(share, rel=0.05)
    assert (impulses[struck] == 255).mean() == pytest.approx(0.5, abs=0.03)
    assert (impulses[~struck] == 128).all()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_gaussian_noise_has_the_signal_to_noise_ratio_that_follows_from_its_deviation(severity: int) -> None:
    (deviation,) = CIFAR_C["gaussian_noise"][severity - 1]
    flat = grey(32, count=20)
    expected = -20 * np.log10(deviation)
    assert psnr(flat, corrupt(flat, "gaussian_noise", severity, 0)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("severity", SEVERITIES)
def test_brightness_and_contrast_are_the_papers_formulas(side: int, severity: int) -> None:
    images = photos(1, side, 3)[:, :32, :32] if side == 32 else photos(1, side, 3)
    (added,), (kept,) = (SIDES[side][name][severity - 1] for name in ("brightness", "contrast"))
    brighter = fractions(corrupt(images, "brightness", severity, 0))
    for row, column in ((0, 0), (5, 9), (side // 2, side // 2), (side - 1, 3)):
        hue, saturation, value = colorsys.rgb_to_hsv(*fractions(images)[0, row, column])
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
        assert brighter[0, row, column] == pytest.approx(expected, abs=0.51 / 255)
    x = fractions(images)
    mean = x.mean(axis=(1, 2), keepdims=True)
    flatter = fractions(corrupt(images, "contrast", severity, 0))
    assert np.abs(flatter - ((x - mean) * kept + mean)).max() <= 0.51 / 255


def test_brightness_of_grey_and_of_black_pixels_is_added() -> None:
    images = np.array([0, 10, 200, 250], np.uint8).reshape(1, 2, 2, 1)
    images = np.tile(images, (1, 16, 16, 1))
    brighter = corrupt(images, "brightness", 4, 0)
    assert sorted(set(brighter.ravel().tolist())) == [51, 61, 251, 255]
    colours = np.repeat(images, 3, axis=3)
    assert np.array_equal(corrupt(colours, "brightness", 4, 0)[..., :1], brighter)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", STRONGER)
def test_images_get_worse_with_severity(name: str, side: int) -> None:
    images = photos(24 if side == 32 else 2, side, 3)
    ratios = [psnr(images, corrupt(images, name, severity, 0)) for severity in SEVERITIES]
    # fogs differ in grain too, and how well coarse pixels fit a made picture is partly chance
    tolerance = {"fog": 0.75, "pixelate": 1.6}.get(name, 0.1)
    assert all(later < earlier + tolerance for earlier, later in pairwise(ratios))
    assert ratios[0] > ratios[4] + 1


@pytest.mark.parametrize("name", ["frost", "glass_blur", "elastic_transform", "snow"])
def test_other_corruptions_change_images_and_leave_them_recognisable(name: str) -> None:
    images = photos(24, 32, 3)
    for severity in SEVERITIES:
        changed = corrupt(images, name, severity, 0)
        assert 8 < psnr(images, changed) < 40
        alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images, changed, strict=True)]
        assert np.mean(alike) > 0.4


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 7, 3), (28, 28, 1), (48, 48, 3), (90, 88, 1)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_takes_images_of_any_size_grey_or_colour(
    name: str, shape: tuple[int, int, int]
) -> None:
    images = photos(3, 90, shape[2])[:, : shape[0], : shape[1]]
    before = images.copy()
    changed = corrupt(images, name, 5, 0)
    assert changed.dtype == np.uint8
    assert changed.shape == images.shape
    assert np.array_equal(images, before)
    assert not np.array_equal(changed, images)
    assert np.array_equal(changed, corrupt(images, name, 5, 0))


@pytest.mark.parametrize(
    "name", [*CORRUPTIONS[:3], "glass_blur", "motion_blur", "snow", "frost", "fog", "elastic_transform"]
)
def test_each_image_and_each_seed_has_randomness_of_its_own(name: str) -> None:
    images = np.repeat(photos(1, 32, 3), 2, axis=0)
    changed = corrupt(images, name, 5, 0)
    assert not np.array_equal(changed[0], changed[1])
    assert not np.array_equal(changed, corrupt(images, name, 5, 1))


def test_no_images_give_none() -> None:
    assert corrupt(np.empty((0, 8, 8, 1), np.uint8), "fog", 1, 0).shape == (0, 8, 8, 1)


def test_settings_are_the_nearer_published_ones_and_lengths_follow_the_image() -> None:
    cases = {8: 1, 28: 1, 32: 1, 64: 2, 112: 0.5, 224: 1, 448: 2}
    assert {side: setting("fog", 1, side).scale for side in cases} == cases
    assert setting("fog", 2, 84).values == CIFAR_C["fog"][1]
    assert setting("fog", 2, 85).values == IMAGENET_C["fog"][1]
    assert all(len(table[name]) == 5 for table in SIDES.values() for name in CORRUPTIONS)


@pytest.mark.parametrize(("mirror", "mode"), [(False, "nearest"), (True, "reflect")])
@pytest.mark.parametrize("sigma", [0.4, 1.5, 30.0])
def test_the_gaussian_blur_is_that_of_scipy(sigma: float, mirror: bool, mode: str) -> None:
    image = np.random.default_rng(0).random((20, 26)).astype(np.float32)
    sides = [blur_matrix(side, sigma, 3.0, mirror) for side in image.shape]
    ours = on_both_sides(image[None, None], *sides)[0, 0]
    assert np.allclose(ours, ndimage.gaussian_filter(image, sigma, mode=mode, truncate=3.0), atol=1e-5)


def test_enlarging_interpolates_as_scipy_does() -> None:
    image = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    places = np.mgrid[:16, :16].astype(float)
    expected = ndimage.map_coordinates(image, 7.5 + (places - 7.5) / 1.37, order=1, mode="nearest")
    assert np.allclose(enlarge(image[None, None], 1.37)[0, 0], expected, atol=1e-5)


def test_motion_smears_along_the_angle_and_nowhere_else() -> None:
    dots = np.zeros((3, 1, 15, 15), np.float32)
    dots[:, 0, 7, 7] = 1
    along, down, aslant = smear(dots, 4, 2.0, np.array([0.0, 90.0, 45.0]))[:, 0]
    weights = np.exp(-0.5 * (np.arange(8) / 2) ** 2)
    expected = weights / np.exp(-0.5 * (np.arange(9) / 2) ** 2).sum()
    assert along[7, 7::-1] == pytest.approx(expected, abs=1e-6)
    assert down[7::-1, 7] == pytest.approx(expected, abs=1e-6)
    assert np.count_nonzero(aslant) == np.count_nonzero(np.diag(aslant))


def test_defocus_is_a_convolution_with_a_disk() -> None:
    dot = np.zeros((1, 224, 224, 1), np.uint8)
    dot[0, 112, 112] = 255
    blurred = fractions(corrupt(np.tile(dot, (1, 1, 1, 3)), "defocus_blur", 1, 0))[0, :, :, 0]
    rows, columns = np.mgrid[-112:112, -112:112]
    disk = rows**2 + columns**2 <= 9
    assert blurred[disk] == pytest.approx(1 / disk.sum(), abs=0.6 / 255)
    assert blurred[~disk].max() <= 1 / 255


@pytest.mark.parametrize("severity", SEVERITIES)
def test_pixelating_is_pillows_box_resizing(severity: int) -> None:
    (image,) = photos(1, 32, 3)
    side = int(32 * CIFAR_C["pixelate"][severity - 1][0])
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BOX)
    expected = np.asarray(small.resize((32, 32), Image.Resampling.BOX)).astype(int)
    assert np.abs(corrupt(image[None], "pixelate", severity, 0)[0] - expected).max() <= 1


@pytest.mark.parametrize("shape", [(32, 32, 3), (33, 21, 3), (8, 8, 1), (50, 20, 1)])
@pytest.mark.parametrize("quality", [80, 40, 7])
def test_compression_loses_what_pillows_jpeg_loses(shape: tuple[int, int, int], quality: int) -> None:
    image = photos(1, 50, shape[2])[0, : shape[0], : shape[1]]
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
    expected = np.asarray(Image.open(file)).reshape(shape)
    ours = np.rint(through_jpeg(image.transpose(2, 0, 1)[None].astype(np.float32), quality))[0].transpose(
        1, 2, 0
    )
    assert psnr(image, ours) == pytest.approx(psnr(image, expected), abs=0.35)
    assert np.abs(ours - expected).mean() < 1.5
