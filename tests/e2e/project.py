"""A checkout of the project in a temporary folder, and commands in it."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Project", "check_out"]

ROOT = Path(__file__).resolve().parents[2]
STATE_VARIABLES = ("MLFLOW_", "RESNET_OPS_", "DVC_", "GIT_", "MAKE", "MFLAGS")


@dataclass(frozen=True)
class Project:
    """A checkout with its own databases, keys and DVC cache."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The machine's, less what points to other state; the checkout's own code comes first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(STATE_VARIABLES)}
        code = os.pathsep.join(
            str(self.folder / part) for part in (".", "registry", "monitoring", "pipelines")
        )
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        people, parts = ("AUTHOR", "COMMITTER"), ("NAME", "EMAIL")
        identity = {f"GIT_{who}_{what}": "t@example.org" for who in people for what in parts}
        return {**kept, **identity, "PATH": path, "PYTHONPATH": code, "DVC_NO_ANALYTICS": "1"}

    def run(
        self, *command: str, timeout: float = 3000, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout; its output is captured."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def repro(self, *arguments: str) -> str:
        """`dvc repro`, which must succeed; gives what it printed."""
        done = self.run("dvc", "repro", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def versions(self) -> list[dict[str, Any]]:
        """What is registered."""
        done = self.run("resnet-ops", "registry", "ls", "digits-classifier", "--json")
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def change(self, old: str, new: str, name: str = "params.yaml") -> None:
        """Edit a file by hand."""
        path = self.folder / name
        content = path.read_text()
        assert content.count(old) == 1, old
        path.write_text(content.replace(old, new))

    def copy(self, folder: Path, *, without: tuple[str, ...] = ()) -> "Project":
        """Another checkout with the same files, less the named ones. DVC's cache comes along unless it is named."""
        skip = {self.folder / name for name in without}
        shutil.copytree(
            self.folder,
            folder,
            symlinks=True,
            ignore=lambda parent, names: [name for name in names if Path(parent) / name in skip],
        )
        _move_artifacts(folder / "var" / "mlflow.db", str(self.folder), str(folder))
        return Project(folder)


def _move_artifacts(database: Path, old: str, new: str) -> None:
    """Let MLflow find its artifacts in the copy: it knows absolute places, and would write into the original."""
    if not database.exists():
        return
    places = {
        "experiments": "artifact_location",
        "runs": "artifact_uri",
        "logged_models": "artifact_location",
        "model_versions": "storage_location",
    }
    connection = sqlite3.connect(database)
    with connection:
        for table, column in places.items():
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
    connection.close()


def check_out(folder: Path) -> Project:
    """The working tree's files, tracked or about to be, as a git repository of its own."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    project = Project(folder)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a checkout"]):
        done = project.run("git", *arguments)
        assert done.returncode == 0, done.stderr
    return project
