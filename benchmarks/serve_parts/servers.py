"""The servers that benchmarks/serve.py asks: their commands, their start and their end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.serve_parts.load import Body
from resnet_ops.params import parse_params
from resnet_ops_pipelines.project_params import Params

__all__ = [
    "LOGGED",
    "OURS",
    "PATIENT",
    "ModelTime",
    "Running",
    "commands",
    "make_network",
    "one_array",
    "one_image",
    "our_command",
    "running",
]

ROOT = Path(__file__).resolve().parents[2]
OURS, LOGGED, MLFLOW, LITSERVE = "ours", "ours, logged", "mlflow models serve", "LitServe"
PATIENT = 10_000
"""`max_wait_ms` where nobody is to be refused."""
_PATIENCE = 90.0  # seconds until a server answers


def make_network(name: str, folder: Path) -> Path:
    """A network of params.yaml, or of the catalogue, with fresh weights: for the digits, or for 32x32 in colour."""
    import torch

    from resnet_ops.families.build import build_network
    from resnet_ops.families.catalogue import CATALOGUE
    from resnet_ops.model import TrainedModel, save_model

    params = parse_params(ROOT / "params.yaml", Params)
    side, channels = (params.data.image_size, params.data.channels) if name in params.family else (32, 3)
    member = {**{each.name: each.member for each in CATALOGUE}, **params.members}[name]
    torch.manual_seed(0)
    network = build_network(member, channels, 10).eval()
    classes = tuple(str(each) for each in range(10))
    scale = ((0.5,) * channels, (0.25,) * channels)
    save_model(TrainedModel(network, name, member, classes, side, channels, *scale), folder)
    return folder


def one_image(files: Path) -> Body:
    """For `/invocations`, which all of them know."""
    return Body(json.dumps({"inputs": _image(files).tolist()}).encode())


def one_array(files: Path) -> Body:
    """The same image as `numpy.save` writes it, for ours."""
    file = BytesIO()
    np.save(file, _image(files))
    return Body(file.getvalue(), "/v1/score", "application/x-npy")


def _image(files: Path) -> NDArray[np.uint8]:
    description = json.loads((files / "member.json").read_text())
    side, channels = description["image_size"], description["channels"]
    return np.random.default_rng(0).integers(0, 256, (1, side, side, channels), dtype=np.uint8)


def our_command(files: Path, device: str, folder: Path, **changes: Any) -> list[str]:
    """Of `resnet-ops serve` with these settings, without log and port."""
    params = folder / "params.yaml"
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["serve"].update(device=device, **changes)
    params.write_text(yaml.safe_dump(settings))
    python = [sys.executable, "-c", "from resnet_ops.cli import main; main()"]
    return [*python, "serve", "--ungated", str(files), "--params", str(params)]


def commands(files: Path, device: str, folder: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The command of each, without its port at the end; and why others are not measured."""
    ours = our_command(files, device, folder, max_wait_ms=PATIENT)
    log = f"sqlite:///{folder}/inference.db"
    found = {OURS: [*ours, "--no-log", "--port"], LOGGED: [*ours, "--log", log, "--port"]}
    left = {}
    if device != "cpu":
        left[MLFLOW] = "the model that is registered computes on the CPU there"
    elif find_spec("mlflow") is None:
        left[MLFLOW] = "mlflow is not installed"
    else:
        from resnet_ops_registry.client.packaging import build_model_folder

        packaged = str(build_model_folder(files, folder / "packaged"))
        mlflow = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"]
        found[MLFLOW] = [*mlflow, "-m", packaged, "--port"]
    if find_spec("litserve") is None:
        left[LITSERVE] = "litserve is not installed"
    else:
        script = Path(__file__).with_name("lit_server.py")
        found[LITSERVE] = [sys.executable, str(script), str(files), device]
    return found, left


@dataclass(frozen=True)
class ModelTime:
    """At work since a server's start."""

    seconds: float
    batches: float


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def resident(self) -> float:
        """MiB of its memory, without its children's; NaN where the system does not say."""
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
            return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024
        except (OSError, StopIteration):
            return float("nan")

    def model_time(self) -> ModelTime | None:
        """By its own numbers for Prometheus; None where it has none, as all but ours."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                told = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines())
            return ModelTime(
                *(float(told[f"resnet_ops_serving_inference_seconds_{each}"]) for each in ("sum", "count"))
            )
        except (OSError, KeyError, ValueError):
            return None


@contextmanager
def running(wanted: dict[str, list[str]], body: Body, folder: Path) -> Iterator[dict[str, Running]]:
    """All of them, started side by side, once each has answered."""
    with ExitStack() as stack:
        found = {name: stack.enter_context(_started(command, folder)) for name, command in wanted.items()}
        until = time.monotonic() + _PATIENCE
        for each in found.values():
            _await_answer(each, body, until, folder)
        yield found


@contextmanager
def _started(command: list[str], folder: Path) -> Iterator[Running]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    path = [str(ROOT), *(str(ROOT / each) for each in ("registry", "monitoring", "pipelines"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, os.environ.get("PYTHONPATH", "")])}
    with (folder / f"{port}.log").open("w") as told:
        process = subprocess.Popen(
            [*command, str(port)],
            cwd=folder,
            stdout=told,
            stderr=told,
            env=environment,
            start_new_session=True,  # some leave processes behind
        )
        try:
            yield Running(port, process)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_answer(server: Running, body: Body, until: float, folder: Path) -> None:
    where = f"http://127.0.0.1:{server.port}{body.route}"
    request = urllib.request.Request(where, body.content, {"Content-Type": body.kind})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10):
                return
        except (urllib.error.URLError, OSError):
            if server.process.poll() is not None or time.monotonic() > until:
                raise SystemExit((folder / f"{server.port}.log").read_text()[-3000:]) from None
            time.sleep(0.2)
