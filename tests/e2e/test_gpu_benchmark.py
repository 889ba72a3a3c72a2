"""The benchmark for GPUs runs from end to end; here on a CPU, with everything tiny."""

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.images import read_cifar10

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


def test_every_part_of_the_benchmark_says_what_it_measured(tmp_path: Path) -> None:
    write_npz(tmp_path / "cifar.npz", 64, 16)
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--quick", "--cifar"]
    done = subprocess.run(
        [*command, str(tmp_path / "cifar.npz")], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    for said in (
        r"peak: [\d.]+ TFLOP/s in bf16",
        r"train batch 8: [\d,]+ images/s",
        r"infer batch 8: [\d,]+ images/s",
        r"exact: without it x[\d.]+ \([\d.]+-[\d.]+\), n = 2",
        r"resume after step \d+: the same bits",
        r"cifar10 resnet8, 1 epochs: 94% .*; best [\d.]+%",
    ):
        assert re.search(said, done.stdout), f"{said} is not in:\n{done.stdout}"


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
