"""Training images in memory or streamed: the same bits, and the choice between the two."""

import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from resnet_ops.data import PreparedData, load_prepared, save_prepared
from resnet_ops.errors import DataError
from resnet_ops.training import images
from resnet_ops.training.checkpoints import Checkpoints
from resnet_ops.training.identity import training_key
from resnet_ops.training.images import ImagesInMemory, StreamedImages, free_memory, open_images
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_plan, make_recipe, saved_digest, take
from tests.unit.core.training.test_transfer import Stopped, StopsAfter

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stored(digits: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 images to train on and 40 to validate, on disk."""
    folder = tmp_path_factory.mktemp("prepared")
    save_prepared(take(digits, train=96, validation=40), folder, ("train", "validation"))
    return folder


def test_both_ways_give_the_same_batches_in_the_same_order(stored: Path) -> None:
    data = load_prepared(stored).split("train")
    rows = torch.randperm(96).split(7)
    for batches in (ImagesInMemory(data, CPU).batches(rows), StreamedImages(data, CPU).batches(rows)):
        for where, (pixels, labels) in zip(rows, batches, strict=True):
            assert np.array_equal(pixels.numpy(), data.images[where.numpy()])
            assert labels.tolist() == data.labels[where.numpy()].tolist()


@pytest.mark.slow
def test_images_in_memory_and_streamed_train_the_same_bits(stored: Path, tmp_path: Path) -> None:
    recipe = make_recipe(flip=True, mixup=0.4)
    in_ram = load_prepared(stored)
    data = {"mapped": in_ram, "arrays": replace(in_ram, images=np.array(in_ram.images))}
    digests = {
        saved_digest(fit(make_plan(recipe, images=way), each), tmp_path / f"{name} {way}")
        for name, each in data.items()
        for way in ("memory", "stream", "auto")
    }
    assert len(digests) == 1


def test_a_training_that_ran_out_of_memory_goes_on_streamed(stored: Path, tmp_path: Path) -> None:
    data = load_prepared(stored)
    memory, stream = (make_plan(images=way) for way in ("memory", "stream"))
    assert training_key(memory, data) == training_key(stream, data)
    with pytest.raises(Stopped):
        fit(memory, data, checkpoints=StopsAfter(tmp_path / "ck", 4))
    resumed = fit(stream, data, checkpoints=Checkpoints(tmp_path / "ck", 0))
    assert saved_digest(resumed, tmp_path / "resumed") == saved_digest(fit(memory, data), tmp_path / "whole")


def test_threads_end_with_an_epoch_that_ends_early(stored: Path) -> None:
    before = threading.active_count()
    batches = StreamedImages(load_prepared(stored).split("train"), CPU).batches(torch.arange(96).split(4))
    next(batches)
    assert threading.active_count() > before
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize(("spare", "way"), [(1, ImagesInMemory), (-1, StreamedImages)])
def test_auto_takes_what_fits_into_half_of_the_free_memory_and_says_so(
    spare: int,
    way: type,
    stored: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = load_prepared(stored).split("train")
    monkeypatch.setattr(images, "free_memory", lambda device: 2 * data.images.nbytes + spare)
    assert type(open_images(make_plan(images="auto"), data, CPU)) is way
    what = "held in memory" if way is ImagesInMemory else "streamed from disk"
    said = capsys.readouterr().out.replace("\n", " ")
    sizes = r"0\.0 MB, where 0\.0 MB may be used of the 0\.0 MB for cpu"
    assert re.search(f"tiny: 96 images of split train are {what}: {sizes}", said)


@pytest.mark.parametrize(("spare", "way"), [(1, ImagesInMemory), (-1, StreamedImages)])
def test_images_that_are_held_already_count_against_the_half(
    spare: int, way: type, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a memory of 2 * (train + validation), the half is for both."""
    data = load_prepared(stored)
    train, validation = data.split("train"), data.split("validation")
    left = 2 * (train.images.nbytes + validation.images.nbytes) + spare - train.images.nbytes
    monkeypatch.setattr(images, "free_memory", lambda device: left)
    held = ImagesInMemory(train, CPU).held
    assert held == train.images.nbytes
    assert type(open_images(make_plan(images="auto"), validation, CPU, held)) is way
    assert StreamedImages(train, CPU).held == 0


@pytest.mark.parametrize(("images", "way"), [("memory", ImagesInMemory), ("stream", StreamedImages)])
def test_a_way_that_is_asked_for_is_taken(images: str, way: type, stored: Path) -> None:
    assert type(open_images(make_plan(images=images), load_prepared(stored).split("train"), CPU)) is way


def test_the_limit_of_a_container_counts_less_what_it_caches_of_files(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 1500000\nfile 1000000\nkernel 5\n")
    assert free_memory(CPU, tmp_path) == 1_500_000
    (tmp_path / "memory.max").write_text("max\n")
    whole = psutil.virtual_memory().total
    assert 3_000_000 < free_memory(CPU, tmp_path) <= whole
    assert 3_000_000 < free_memory(CPU, tmp_path / "none") <= whole


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_streamed_images_reach_a_gpu_with_the_same_bits(stored: Path) -> None:
    gpu = torch.device("cuda")
    data = load_prepared(stored).split("train")
    rows = torch.randperm(96).split(7)
    for where, (pixels, labels) in zip(rows, StreamedImages(data, gpu).batches(rows), strict=True):
        assert np.array_equal(pixels.cpu().numpy(), data.images[where.numpy()])
        assert labels.cpu().tolist() == data.labels[where.numpy()].tolist()
    assert 0 < free_memory(gpu) <= torch.cuda.get_device_properties(gpu).total_memory


def test_an_image_that_is_not_the_one_of_its_manifest_is_named_before_it_is_trained_on(stored: Path) -> None:
    data = load_prepared(stored)
    pixels = np.array(data.images)
    pixels[2, 3, 4] ^= 1
    pixels[7:14] = 0
    with pytest.raises(DataError, match=r"8 of 96 prepared images") as caught:
        training_key(make_plan(), replace(data, images=pixels))
    named = [data.rows[place].path for place in (2, 7, 8, 9, 10)]
    assert f"manifest: {', '.join(named)} and 3 more. Delete" in str(caught.value)
