"""What serving costs: ours against `mlflow models serve` and the bare batch loop, same network, paired in one run.

    python benchmarks/serve.py [closed|open|overload] [--model resnet18] [--rounds 5] [--seconds 3] [--clients 32]

`closed`: as many clients as told, in a process of their own, each with one request under way, an image as JSON on
`/invocations`, which both know. Every round measures each once, in random order; the bare loop predicts batches of 64
without any server. `ours, logged` also writes the inference log.
`open`: requests come by chance at 50, 70 and 90 % of the rate that the server reached in a closed loop just before, and
count from when they were due.
`overload`: twice that rate for --seconds, at a server that takes as many requests at once as there are clients; its
memory, refusals, and the p99 of what it accepted, from when it was sent.
Prints a table for benchmarks/RESULTS.md. The clients need a core of their own, or they measure themselves.
"""

import argparse
import json
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
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import requests
import yaml

from benchmarks.serve_parts.load import closed, opened
from resnet_ops.params import parse_params
from resnet_ops.predictions import DeployedModel
from resnet_ops_pipelines.project_params import Params

ROOT = Path(__file__).resolve().parents[1]
BATCH = 64


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
def server(command: list[str], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, once it answers."""
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
            yield process
        finally:
            process.terminate()
            process.wait()


def our_command(files: Path, params: Path) -> list[str]:
    """Of `resnet-ops serve`, without its port."""
    python = [sys.executable, "-c", "from resnet_ops.cli import main; main()"]
    return [*python, "serve", "--ungated", str(files), "--params", str(params)]


def start_servers(stack: ExitStack, files: Path, folder: Path) -> dict[str, int]:
    """The port of each."""
    from resnet_ops_registry.client.packaging import build_model_folder

    packaged = build_model_folder(files, folder / "packaged")
    ours = our_command(files, ROOT / "params.yaml")
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
            many = closed(port, body, arguments.clients, arguments.seconds)
            alone = closed(port, body, 1, arguments.seconds / 3)
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
            closed(port, body, arguments.clients, 0.5)  # warm
        for _ in range(arguments.rounds):
            for name in chance.sample(list(ways), len(ways)):
                found.setdefault(name, []).append(ways[name]())
    return found


def about(arguments: argparse.Namespace) -> str:
    """Of a table: what was measured on what."""
    return (
        f"{arguments.model}, {arguments.clients} clients, n = {arguments.rounds} rounds of {arguments.seconds:g} s; "
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {version('torch')}, "
        f"mlflow {version('mlflow')}"
    )


def table(found: dict[str, list[tuple[float, float, float]]], arguments: argparse.Namespace) -> str:
    """Medians over the rounds; the ratio to ours is paired by round, with its range."""
    lines = [
        about(arguments),
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


def one_image(files: Path) -> bytes:
    """A body for `/invocations`."""
    description = json.loads((files / "member.json").read_text())
    side, channels = description["image_size"], description["channels"]
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, channels), dtype=np.uint8)
    return json.dumps({"inputs": image.tolist()}).encode()


def open_loop(arguments: argparse.Namespace, folder: Path) -> str:
    """Medians over the rounds, of each server at shares of its own capacity."""
    files = make_network(arguments.model, folder / "network")
    body, found = one_image(files), dict[tuple[str, float], list[tuple[float, float, float]]]()
    with ExitStack() as stack:
        ports = start_servers(stack, files, folder)
        for number, (name, port) in [(n, each) for n in range(arguments.rounds) for each in ports.items()]:
            capacity = closed(port, body, arguments.clients, arguments.seconds).rate
            for share in (0.5, 0.7, 0.9):
                load = opened(port, body, share * capacity, arguments.seconds, number)
                numbers = (load.rate, load.quantile(0.5), load.quantile(0.99))
                found.setdefault((name, share), []).append(numbers)
    lines = [about(arguments), "", "| | load | answers/s | p50, ms | p99, ms |", "|---|---|---|---|---|"]
    for (name, share), rounds in found.items():
        rate, middle, late = (statistics.median(column) for column in zip(*rounds, strict=True))
        lines.append(f"| {name} | {share:.0%} | {rate:,.0f} | {middle:.1f} | {late:.1f} |")
    return "\n".join(lines)


def resident(process: subprocess.Popen[bytes]) -> float:
    """MiB of its memory."""
    import psutil

    return float(psutil.Process(process.pid).memory_info().rss) / 2**20


def overload(arguments: argparse.Namespace, folder: Path) -> str:
    """A row for each round: nominal is the closed loop of as many clients as the server takes requests."""
    files, params = make_network(arguments.model, folder / "network"), folder / "params.yaml"
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["serve"]["max_requests"] = arguments.clients
    params.write_text(yaml.safe_dump(settings))
    body, port = one_image(files), free_port()
    lines = [
        about(arguments),
        "",
        "| wanted/s | asked/s | nominal/s | accepted/s | 503 | others | p99 nominal, ms | p99 accepted, ms "
        "| MiB before, after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    command = [*our_command(files, params), "--no-log", "--port", str(port)]
    with server(command, port, folder) as process:
        closed(port, body, arguments.clients, 1)
        for number in range(arguments.rounds):
            nominal = closed(port, body, arguments.clients, 5)
            before = resident(process)
            load = opened(port, body, 2 * nominal.rate, arguments.seconds, number, from_due=False)
            after, total = resident(process), sum(load.statuses.values())
            refused = load.statuses[503]
            columns = [2 * nominal.rate, total / arguments.seconds, nominal.rate, load.rate]
            late = f"{nominal.quantile(0.99):.1f} | {load.quantile(0.99):.1f}"
            others = total - load.statuses[200] - refused
            lines.append(
                f"| {' | '.join(f'{each:,.0f}' for each in columns)} | {refused:,} | {others:,} | {late} "
                f"| {before:.0f}, {after:.0f} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", nargs="?", choices=("closed", "open", "overload"), default="closed")
    parser.add_argument("--model", default="resnet20", help="a member of params.yaml")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, default=32)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        folder = Path(temporary)
        if arguments.mode == "closed":
            print(table(measure(arguments, folder), arguments))
        else:
            print((open_loop if arguments.mode == "open" else overload)(arguments, folder))


if __name__ == "__main__":
    main()
