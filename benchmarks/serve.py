"""What serving costs: ours against `mlflow models serve` and the bare batch loop, same network, paired in one run.

    python benchmarks/serve.py [--model resnet18] [--rounds 5] [--seconds 3] [--clients 32]

Closed loop: as many clients as told, in a process of their own, each with one request under way, an image as JSON on
`/invocations`, which both know. Every round measures each once, in random order; the bare loop predicts batches of 64
without any server. `ours, logged` also writes the inference log. Prints a table for benchmarks/RESULTS.md.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import requests

from resnet_ops.params import parse_params
from resnet_ops.predictions import DeployedModel
from resnet_ops_pipelines.project_params import Params

ROOT = Path(__file__).resolve().parents[1]
BATCH = 64


@dataclass(frozen=True)
class Load:
    """What a closed loop found: answers a second, and seconds that they took, sorted."""

    rate: float
    seconds: list[float]

    def quantile(self, share: float) -> float:
        return 1000 * self.seconds[min(int(share * len(self.seconds)), len(self.seconds) - 1)]


async def _client(port: int, request: bytes, until: float, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        begin = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        taken.append(time.perf_counter() - begin)
    writer.close()


def _load(port: int, body: bytes, clients: int, seconds: float) -> Load:
    kind = "Content-Type: application/json\r\n"
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
    taken: list[float] = []

    async def run() -> float:
        begin = time.perf_counter()
        request = head.encode() + body
        await asyncio.gather(*(_client(port, request, begin + seconds, taken) for _ in range(clients)))
        return time.perf_counter() - begin

    elapsed = asyncio.run(run())
    return Load(len(taken) / elapsed, sorted(taken))


def load(port: int, body: bytes, clients: int, seconds: float) -> Load:
    """From another process, so that no lock of this one is in its way."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_load, (port, body, clients, seconds))


def make_network(name: str, folder: Path) -> Path:
    """A network of params.yaml with fresh weights, for the digits or for 32x32 in colour."""
    import torch

    from resnet_ops.families.build import build_network
    from resnet_ops.model import TrainedModel, save_model

    params = parse_params(ROOT / "params.yaml", Params)
    side, channels = (params.data.image_size, params.data.channels) if name in params.family else (32, 3)
    torch.manual_seed(0)
    network = build_network(params.members[name], channels, 10).eval()
    classes = tuple(str(each) for each in range(10))
    scale = ((0.5,) * channels, (0.25,) * channels)
    save_model(TrainedModel(network, name, params.members[name], classes, side, channels, *scale), folder)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def server(command: list[str], port: int, folder: Path) -> Iterator[int]:
    """A server's port, once it answers."""
    with (folder / f"{port}.log").open("w") as told:
        process = subprocess.Popen(command, cwd=folder, stdout=told, stderr=told)
        try:
            until = time.monotonic() + 120
            while True:
                try:
                    requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).raise_for_status()
                    break
                except requests.RequestException:
                    if process.poll() is not None or time.monotonic() > until:
                        raise SystemExit((folder / f"{port}.log").read_text()) from None
                    time.sleep(0.2)
            yield port
        finally:
            process.terminate()
            process.wait()


def start_servers(stack: ExitStack, files: Path, folder: Path) -> dict[str, int]:
    """The port of each."""
    from resnet_ops_registry.client.packaging import build_model_folder

    packaged = build_model_folder(files, folder / "packaged")
    python = [sys.executable, "-c"]
    ours = [*python, "from resnet_ops.cli import main; main()", "serve", "--ungated", str(files)]
    ours += ["--params", str(ROOT / "params.yaml")]
    ports = {name: free_port() for name in ("ours", "ours, logged", "mlflow models serve")}
    log = ["--log", f"sqlite:///{folder}/inference.db"]
    mlflow = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "--env-manager",
        "local",
        "-m",
        str(packaged),
    ]
    commands = {"ours": [*ours, "--no-log"], "ours, logged": [*ours, *log], "mlflow models serve": mlflow}
    for name, command in commands.items():
        stack.enter_context(server([*command, "--port", str(ports[name])], ports[name], folder))
    return ports


def bare(model: DeployedModel, images: np.ndarray, seconds: float) -> float:
    """Images a second in batches, without a server."""
    model.predict(images, batch_size=BATCH)
    begin, done = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        model.predict(images, batch_size=BATCH)
        done += len(images)
    return done / (time.perf_counter() - begin)


def single(model: DeployedModel, image: np.ndarray, seconds: float) -> float:
    """Median milliseconds of one image, without a server."""
    taken = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        begin = time.perf_counter()
        model.predict(image)
        taken.append(time.perf_counter() - begin)
    return 1000 * statistics.median(taken)


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, list[tuple[float, float, float]]]:
    """By what was measured, for each round: answers a second, p99 in ms; and p50 of one client alone in ms."""
    from resnet_ops.export.exported import load_deployed

    files = make_network(arguments.model, folder / "network")
    model = load_deployed(files)
    images = np.random.default_rng(0).integers(
        0, 256, (BATCH, model.image_size, model.image_size, model.channels), dtype=np.uint8
    )
    body = json.dumps({"inputs": images[:1].tolist()}).encode()
    found: dict[str, list[tuple[float, float, float]]] = {}
    chance = random.Random(0)
    with ExitStack() as stack:
        ports = start_servers(stack, files, folder)

        def ask(port: int) -> tuple[float, float, float]:
            many = load(port, body, arguments.clients, arguments.seconds)
            alone = load(port, body, 1, arguments.seconds / 3)
            return many.rate, many.quantile(0.99), alone.quantile(0.5)

        ways: dict[str, Callable[[], tuple[float, float, float]]] = {
            name: partial(ask, port) for name, port in ports.items()
        }
        ways["bare loop"] = lambda: (
            bare(model, images, arguments.seconds),
            float("nan"),
            single(model, images[:1], arguments.seconds / 3),
        )
        for port in ports.values():
            load(port, body, arguments.clients, 0.5)  # warm
        for _ in range(arguments.rounds):
            for name in chance.sample(list(ways), len(ways)):
                found.setdefault(name, []).append(ways[name]())
    return found


def table(found: dict[str, list[tuple[float, float, float]]], arguments: argparse.Namespace) -> str:
    """Medians over the rounds; the ratio to ours is paired by round, with its range."""
    lines = [
        f"{arguments.model}, {arguments.clients} clients, n = {arguments.rounds} rounds of {arguments.seconds:g} s; "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}, "
        f"mlflow {version('mlflow')}",
        "",
        "| | answers/s | ours / this (range) | p99, ms | one client, p50, ms |",
        "|---|---|---|---|---|",
    ]
    for name, rounds in found.items():
        rate, late, alone = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratios = sorted(ours[0] / this[0] for ours, this in zip(found["ours"], rounds, strict=True))
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        lines.append(f"| {name} | {rate:,.0f} | {ratio} | {late:.1f} | {alone:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet20", help="a member of params.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        print(table(measure(arguments, Path(temporary)), arguments))


if __name__ == "__main__":
    main()
