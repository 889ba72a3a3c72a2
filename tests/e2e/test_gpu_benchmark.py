"""The benchmark for GPUs runs from end to end; here on a CPU, with everything tiny."""

import io
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.gpu_parts.bare_loop import BareLoop
from benchmarks.images import made_images, read_cifar10
from resnet_ops.provenance import hardware
from resnet_ops.training.loop import Training
from resnet_ops.training.schedule import learning_rate
from tests.unit.core.makers import make_plan, make_recipe

ROOT = Path(__file__).resolve().parents[2]
CIFAR = ROOT.parent / "shared" / "data" / "cifar10" / "cifar10_jpeg.npz"


def write_npz(path: Path, train: int, test: int) -> np.ndarray:
    """Grey images of one shade each, as JPEGs in one npz file; gives the shades."""
    shades = np.arange(train + test) * 255 // (train + test)
    files = []
    for shade in shades:
        file = io.BytesIO()
        Image.new("RGB", (32, 32), (int(shade),) * 3).save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    shared = 0
    while len({file[: shared + 1] for file in files}) == 1:
        shared += 1
    np.savez(
        path,
        prefix=np.frombuffer(files[0][:shared], np.uint8),
        blob=np.frombuffer(b"".join(file[shared:] for file in files), np.uint8),
        offset=np.cumsum([0, *(len(file) - shared for file in files)]),
        label=np.arange(train + test) % 10,
        classes=np.array([f"class{number}" for number in range(10)]),
        n_train=train,
    )
    return shades


def run_benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "benchmarks/gpu.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000)


def run_quick(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_benchmark("--device", "cpu", "--quick", *arguments)


def read_lines(said: str) -> list[dict[str, Any]]:
    """A training that goes on from its checkpoint says so between the parts' lines."""
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_every_part_of_the_benchmark_says_what_it_measured(tmp_path: Path) -> None:
    write_npz(tmp_path / "cifar.npz", 64, 16)
    done = run_quick("--cifar", str(tmp_path / "cifar.npz"))
    assert done.returncode == 0, done.stderr
    found = {line["part"]: line for line in read_lines(done.stdout)}
    assert list(found) == ["peak", "train224", "infer224", "exact", "train32", "infer32", "resume", "cifar"]
    for line in found.values():
        assert line["seconds"] > 0
        assert line["versions"]["torch"] == version("torch")
        assert line["device"] == hardware()["cpu"]
        assert set(line["commit"]) == {"commit", "dirty"}
    for name in ("train224", "infer224", "exact", "train32", "infer32", "cifar"):
        line = found[name]
        assert line["n"] == 2
        low, high = line["spread"]
        assert 0 < low <= line["ratio"] <= high
        # the median of two ratios is their mean, and that of the speeds lies where the ratios do
        assert line["ratio"] == pytest.approx((low + high) / 2, abs=1e-3)
        assert low - 1e-3 <= line["ours"] / line["bare"] <= high + 1e-3
    assert found["peak"]["tflops"] > 0
    assert found["resume"]["same_bits"] is True
    assert found["resume"]["ours"] == found["resume"]["bare"]
    assert len(found["resume"]["ours"]) == 64
    for accuracies in found["cifar"]["accuracy"].values():
        assert len(accuracies) == 2
        assert all((16 * each) % 1 == 0 for each in accuracies), "of 16 test images"


def test_a_part_alone_that_cannot_be_done_says_why_and_fails() -> None:
    done = run_quick("--only", "cifar")
    assert done.returncode == 1
    (line,) = map(json.loads, done.stdout.splitlines())
    assert "needs --cifar" in line["skipped"]


def test_a_part_for_which_no_time_is_left_is_skipped_and_says_so() -> None:
    done = run_benchmark("--device", "cpu", "--only", "train224", "resume", "--budget", "0")
    assert done.returncode == 1
    first, second = map(json.loads, done.stdout.splitlines())
    assert "takes about 75 s" in first["skipped"]
    assert "takes about 5 s" in second["skipped"]


def test_the_plain_loop_does_what_ours_does() -> None:
    """From the same weights, on one batch without crops and mirrors, both take the same steps."""
    recipe = make_recipe(batch_size=32, crop_padding=0, epochs=3, label_smoothing=0.1)
    plan = make_plan(recipe)
    data = made_images(32, 8, 16, 10)
    training = Training(plan, data.split("train"), data.split("validation"))
    bare = BareLoop(plan, 10)
    theirs = bare.network.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in training.network.state_dict().items())
    inputs = training.classifier.normalise(torch.from_numpy(data.images[:32]))
    bare.network.train()
    for step in range(3):
        for group in bare.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step, 3)
        bare.step(inputs, torch.from_numpy(data.labels[:32]))
    list(training.take_steps([torch.arange(32)] * 3))
    torch.use_deterministic_algorithms(False)
    assert training.steps == 3
    for name, value in training.network.state_dict().items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-4, atol=1e-5)


def test_the_plain_loop_crops_and_mirrors() -> None:
    bare = BareLoop(make_plan(), 10)
    image = torch.arange(1.0, 37).view(1, 6, 6, 1)
    padded = torch.nn.functional.pad(image, (0, 0, 1, 1, 1, 1))
    torch.manual_seed(0)
    found = {
        tuple(crop.flatten().tolist()) for crop in bare._crops(padded, torch.zeros(400, dtype=torch.int64), 6)
    }
    plane = padded[0, :, :, 0]
    crops = [plane[top : top + 6, left : left + 6] for top in range(3) for left in range(3)]
    assert found == {tuple(each.flatten().tolist()) for crop in crops for each in (crop, crop.flip(1))}


def test_cifar10_is_read_from_one_file_of_jpegs(tmp_path: Path) -> None:
    shades = write_npz(tmp_path / "cifar.npz", 30, 10)
    data = read_cifar10(tmp_path / "cifar.npz")
    assert (len(data.split("train")), len(data.split("validation"))) == (30, 10)
    assert np.abs(data.images.mean((1, 2, 3)) - shades).max() <= 1
    assert data.labels.tolist() == [index % 10 for index in range(40)]


@pytest.mark.skipif(not CIFAR.exists(), reason="shared/data/cifar10 is not here")
def test_the_real_images_are_all_there() -> None:
    data = read_cifar10(CIFAR)
    assert np.bincount(data.split("train").labels).tolist() == [5000] * 10
    assert np.bincount(data.split("validation").labels).tolist() == [1000] * 10
    means = data.split("train").images.mean((0, 1, 2)) / 255
    assert np.round(means, 2).tolist() == [0.49, 0.48, 0.45]  # the published ones
