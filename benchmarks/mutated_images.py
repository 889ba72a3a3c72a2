"""Decode damaged image files: each is read, or named in one line; nothing else is raised, and memory is bounded.

python -m benchmarks.mutated_images [COUNT] [SEED]        40,000 take about 2 minutes of one core
"""

import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from benchmarks.images import published
from resnet_ops.data.decoding import decode
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.data.params import DataParams
from tests.unit.core.mutated_images import mutated

PIXEL = 4  # bytes, as Pillow holds them
MB = 1_000_000


def memory(field: str) -> int:
    """Bytes, as /proc says: VmRSS is used now, VmHWM at most since it was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def picture(path: Path) -> int:
    """Bytes of the picture that the file says it holds."""
    try:
        with Image.open(path) as image:
            return image.width * image.height * PIXEL
    except Exception:  # noqa: BLE001 - a damaged file
        return 0


def main(count: int, seed: int) -> None:
    params: DataParams = published("idx", Path(), 32, 3)
    outcomes: Counter[str] = Counter()
    most, begun = 0, time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, quiet_decoders():
        for name, content in mutated(count, seed):
            path = Path(folder) / name
            path.write_bytes(content)
            Path("/proc/self/clear_refs").write_text("5")
            before = memory("VmRSS")
            try:
                found = decode(path, params, 16)
            except Exception as error:  # noqa: BLE001 - what this looks for
                outcomes["raised"] += 1
                print(f"{name}: {type(error).__name__}: {error}", flush=True)
            else:
                if isinstance(found, str):
                    outcomes["named"] += 1
                    outcomes["in more than one line"] += "\n" in found
                else:
                    outcomes["read"] += 1
                    outcomes["of which without their damaged metadata"] += found[1].metadata_damaged
            beyond = memory("VmHWM") - before - picture(path)
            if beyond > most:
                most = beyond
                print(f"{name}: {beyond / MB:.0f} MB beyond the picture", flush=True)
            path.unlink()
    print(f"{count:,} files, seed {seed}, in {time.monotonic() - begun:.0f} s: {dict(outcomes)}")
    print(f"at most {most / MB:.0f} MB beyond the picture")
    sys.exit(1 if outcomes["raised"] or outcomes["in more than one line"] or most > 50 * MB else 0)


if __name__ == "__main__":
    os.nice(10)
    main(*map(int, [*sys.argv[1:3], *("40000", "0")[len(sys.argv) - 1 :]]))
