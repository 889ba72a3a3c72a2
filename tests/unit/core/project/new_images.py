"""Small image folders and CSV files, made for the tests of `resnet-ops init`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["write_csv", "write_folder", "write_image"]


def write_image(
    path: Path, number: int, side: tuple[int, int] = (12, 12), colour: bool = False, bits: int = 8
) -> None:
    """A picture that no other number gives. side: width and height."""
    shape = (side[1], side[0], 3) if colour else (side[1], side[0])
    pixels = np.random.default_rng(number).integers(0, 1 << bits, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8 if bits == 8 else np.uint16)).save(path)


def write_folder(root: Path, counts: Mapping[str, int], **how: object) -> Path:
    """ROOT/CLASS/NUMBER.png, of each class as many as `counts` says."""
    number = 0
    for name, count in counts.items():
        for _ in range(count):
            number += 1
            write_image(root / name / f"{number:03d}.png", number, **how)  # type: ignore[arg-type]
    return root


def write_csv(root: Path, patients: int, each: int) -> Path:
    """A CSV file of two classes with so many patients, half of each class, and so many images of each patient."""
    lines = ["path,class,patient"]
    for number in range(patients * each):
        path = f"images/{number:03d}.png"
        write_image(root / path, number)
        patient = number // each
        lines.append(f"{path},{'sick' if patient % 2 else 'well'},p{patient}")
    (root / "images.csv").write_text("\n".join(lines) + "\n")
    return root / "images.csv"
