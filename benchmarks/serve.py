"""What serving costs: ours against `mlflow models serve`, LitServe and the bare batch loop, same network, in one run.

    python benchmarks/serve.py [--model resnet20] [--devices cpu cuda] [--rounds 5] [--seconds 0.6] [--json serve.json]
    python benchmarks/serve.py --table serve.json

Closed loops from a process of their own: 8, 32 and 128 clients and one alone, each with one request under way, an image
as JSON on `/invocations`, which all know. Every round measures each server once, in random order; compared is the rate
at equal p99 (--p99), and the highest. The bare loop predicts batches of 64 without any server. `ours, logged` also
writes the inference log. Then overload: an open loop at .7 of the capacity, which is nominal, and, with `max_wait_ms`
set by its p99, at twice the capacity; times count from when requests were sent. Servers that are not installed are
named as not measured.

Each number is written to --json at once, so that a run that is broken off keeps its rounds; --table prints what is
there. The clients need a core of their own, or they measure themselves: the table says how late they were. All of it
takes under four minutes on 16 cores with a GPU.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "registry"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "monitoring"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pipelines"))

from benchmarks.serve_parts.rounds import compared, overloaded
from benchmarks.serve_parts.servers import make_network
from benchmarks.serve_parts.table import tables
from resnet_ops.files import write_json
from resnet_ops.provenance import environment, git_state, hardware

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = (8, 32, 128)


def measured(given: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """All rows, of all devices."""
    import torch

    files = make_network(given.model, folder / "network")
    for device in given.devices:
        if device == "cuda" and not torch.cuda.is_available():
            yield {"of": "left out", "device": device, "name": "everything", "why": "torch sees no GPU"}
            continue
        yield from compared(files, device, folder, given.rounds, given.seconds, CLIENTS)
        yield from overloaded(files, device, folder, given.rounds, 3 * given.seconds, 32)


def about(given: argparse.Namespace) -> str:
    """Of the tables: what was measured on what."""
    parts = [f"{given.model}, n = {given.rounds} rounds of {given.seconds:g} s", f"commit {git_state(ROOT)}"]
    parts += [str(hardware()), str(environment())]
    for package in ("mlflow", "litserve", "uvicorn"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model",
        default="resnet20",
        help="a member of params.yaml, or of 32 x 32 pixels in `resnet-ops families`",
    )
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), default=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=0.6, help="of one closed loop; of an open one, three times that"
    )
    parser.add_argument("--p99", type=float, default=50, help="ms")
    parser.add_argument("--json", type=Path, default=Path("serve.json"))
    parser.add_argument("--table", type=Path, help="print what is in such a file, and measure nothing")
    given = parser.parse_args()
    if given.table:
        found = json.loads(given.table.read_text())
    else:
        found = {"about": about(given), "rows": []}
        with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
            for row in measured(given, Path(temporary)):
                found["rows"].append(row)
                write_json(given.json, found)
    print(found["about"], "", *tables(found["rows"], given.p99), sep="\n")


if __name__ == "__main__":
    main()
