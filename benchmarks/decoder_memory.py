"""What Pillow's decoders take beyond the picture, by kind and size: whole files, each decoded in a process of its own.

python -m benchmarks.decoder_memory [MEGAPIXELS...]        half a minute; prints a table for benchmarks/RESULTS.md
"""

import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.mutated_images import MB, PIXEL, memory
from resnet_ops.data.opening import open_bytes

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "JPEG, baseline": ("JPEG", {}),
    "JPEG, progressive, colours at half size (4:2:0)": ("JPEG", {"progressive": True, "subsampling": 2}),
    "JPEG, progressive, colours at full size (4:4:4)": ("JPEG", {"progressive": True, "subsampling": 0}),
    "WebP, lossy": ("WEBP", {"quality": 80}),
    "WebP, lossless": ("WEBP", {"lossless": True, "quality": 0, "method": 0}),
    "PNG": ("PNG", {"compress_level": 1}),
}


def made(kind: str, megapixels: float) -> bytes:
    """A file of noise that is smooth enough to be small."""
    side = int((megapixels * 1e6) ** 0.5)
    noise = np.random.default_rng(0).integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
    buffer = BytesIO()
    name, options = KINDS[kind]
    Image.fromarray(noise).resize((side, side)).save(buffer, name, **options)
    return buffer.getvalue()


def beyond(content: bytes) -> float:
    """MB that decoding it takes at most, beyond the picture."""
    open_bytes(made("PNG", 0.01), ("PNG",), 1 << 40)
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    image = open_bytes(content, ("JPEG", "WEBP", "PNG"), 1 << 40).image
    return (memory("VmHWM") - before - image.width * image.height * PIXEL) / MB


def main(sizes: list[str]) -> None:
    print("| kind | " + " | ".join(f"{size} million pixels, MB" for size in sizes) + " | bytes a pixel |")
    print("|---|" + "---|" * (len(sizes) + 1))
    for kind in KINDS:
        found = [
            float(
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.decoder_memory", "--one"],
                    input=made(kind, float(size)),
                    capture_output=True,
                    check=True,
                ).stdout
            )
            for size in sizes
        ]
        print(
            f"| {kind} | {' | '.join(f'{each:.0f}' for each in found)} | {found[-1] / float(sizes[-1]):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[1:] == ["--one"]:
        print(beyond(sys.stdin.buffer.read()))
    else:
        main(sys.argv[1:] or ["2", "8", "24"])
