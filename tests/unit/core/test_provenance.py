"""Where a result comes from: a real git repository, this environment, this machine."""

import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_ops.provenance import environment, git_state, hardware


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _no_repository_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a git hook these point to the repository at work."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    for name in ("code.py", "dvc.lock"):
        (tmp_path / name).write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_a_clean_repository_gives_its_commit(repository: Path) -> None:
    assert git_state(repository) == {"commit": git(repository, "rev-parse", "HEAD"), "dirty": False}


def test_a_changed_tracked_file_makes_it_dirty(repository: Path) -> None:
    (repository / "code.py").write_text("2")
    assert git_state(repository)["dirty"] is True
    git(repository, "add", "code.py")
    assert git_state(repository)["dirty"] is True


def test_new_files_and_the_lock_of_the_running_pipeline_leave_it_clean(repository: Path) -> None:
    (repository / "new.txt").write_text("1")
    (repository / "dvc.lock").write_text("2")
    assert git_state(repository)["dirty"] is False


def test_outside_a_repository_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == {"commit": None, "dirty": False}
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path)["commit"] is None


def test_without_git_there_is_no_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert git_state(repository) == {"commit": None, "dirty": False}


def test_the_environment_names_the_versions_that_run() -> None:
    versions = environment()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == torch.__version__.split("+")[0]
    assert versions["numpy"] == np.__version__
    assert set(versions) >= {"torchvision", "safetensors", "resnet-ops"}


def test_the_hardware_names_processor_and_usable_cores() -> None:
    machine = hardware()
    assert machine["cpu"]
    assert 1 <= machine["cores"] <= (os.cpu_count() or 1)
    assert machine["system"] == f"{platform.system()} {platform.machine()}"
    assert (machine["gpu"] is None) == (not torch.cuda.is_available())
    assert set(machine["instructions"].split()) >= {machine["int8_instructions"]}
