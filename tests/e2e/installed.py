"""The wheel, installed into environments of its own, and `mlflow server` in them."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PathDistribution, distributions
from pathlib import Path
from zipfile import Path as ZipPath

from benchmarks.install_size import needed
from tests.e2e.project import check_out
from tests.serving import answering, free_port

__all__ = ["Workplace", "build_wheel", "environment", "install", "lend", "link", "make_venv", "serving"]


def build_wheel(folder: Path) -> None:
    """The checkout's wheel, built in `folder`."""
    project = check_out(folder / "checkout")
    done = project.run("python", "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Workplace:
    """A user's folder, and the Python in which the wheel is installed."""

    folder: Path
    python: Path

    def run(self, *command: str | Path, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**environment(), **settings},
            capture_output=True,
            text=True,
            timeout=3000,
        )


def environment() -> dict[str, str]:
    """The machine's, less what would let Python or MLflow find this repository."""
    prefixes = ("MLFLOW_", "RESNET_OPS_", "PYTHON", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def make_venv(folder: Path) -> Path:
    """A virtual environment without any package; gives its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"


def install(python: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """`pip install` into the environment of `python`, by the tests' own pip."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *map(str, arguments)]
    return subprocess.run(pip, env=environment(), capture_output=True, text=True)


def lend(python: Path, wheel: Path, extras: str) -> None:
    """Install the wheel and exactly what it demands with these extras, as links to the tests' own packages."""
    done = install(python, "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    own = PathDistribution(ZipPath(wheel, f"{'-'.join(wheel.name.split('-')[:2])}.dist-info/")).requires or ()
    link(python, [f"resnet-ops[{extras}]"], own)


def link(python: Path, requirements: Sequence[str], own: Sequence[str] = ()) -> None:
    """Put exactly what requirements lead to into an environment, as links to the tests' own packages.

    A folder is linked whole where no other distribution has files in it, else file by file.
    """
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    wanted = needed(requirements, own).values()
    inside = {file: each for each in wanted for file in each.files or () if file.parts[0] != ".."}
    files = {file: str(each.locate_file(file)) for file, each in inside.items()}
    shared = {
        file.parts[0]
        for each in distributions()
        for file in each.files or ()
        if file not in files and "__pycache__" not in file.parts
    }
    for file, target in files.items():
        top = file.parts[0]
        path = site / (file if top in shared else top)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target.removesuffix(str(file)) + str(path.relative_to(site)))


@contextmanager
def serving(workplace: Workplace, name: str, scheme: str) -> Iterator[str]:
    """`mlflow server` in the user's folder, its registry behind `scheme`; gives the address."""
    port = free_port()
    database = f"sqlite:///{workplace.folder}/{name}.db"
    command = [
        str(workplace.python),
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    command += ["--backend-store-uri", database, "--registry-store-uri", f"{scheme}{database}"]
    address = f"http://127.0.0.1:{port}"
    with answering(command, address, workplace.folder / f"{name}.log", workplace.folder, environment()):
        yield address
