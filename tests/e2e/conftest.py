"""The project checked out; checked out where a real `dvc repro` has run once; and installed from its wheel."""

from pathlib import Path

import pytest

from tests.e2e.installed import build_wheel, lend, make_venv
from tests.e2e.project import Project, check_out
from tests.once import make_once


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """A checkout in which nothing has run."""
    return check_out(tmp_path / "checkout")


@pytest.fixture(scope="session")
def reproduced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """This worker's copy of a checkout in which `dvc repro` has run once. Tests that change it take a copy of it."""

    def make(folder: Path) -> None:
        project = check_out(folder / "checkout")
        # other tests run beside it: every measurement is disturbed, and would be in its repetition
        project.change("max_drift: 0.2, attempts: 2", "max_drift: 0.2, attempts: 1")
        for budget in ("20", "10"):  # milliseconds: these are of a machine that nobody else uses
            project.change(
                f"        max: {budget}\n", f"        max: {budget}0\n", "policies/digits-classifier.yaml"
            )
        project.repro()

    made = make_once(request, tmp_path_factory, "pipeline", make)
    return Project(made / "checkout").copy(tmp_path_factory.mktemp("reproduced") / "checkout")


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (found,) = make_once(request, tmp_path_factory, "wheel", build_wheel).glob("*.whl")
    return found


@pytest.fixture(scope="session")
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The Python of an environment with the bare wheel, what it demands and no more; `mlflow` is beside it."""

    def make(folder: Path) -> None:
        python = make_venv(folder)
        lend(python, wheel, extras="")
        mlflow = python.parent / "mlflow"
        mlflow.write_text('#!/bin/sh\nexec python -m mlflow "$@"\n')
        mlflow.chmod(0o755)

    return make_once(request, tmp_path_factory, "bare", make) / "bin" / "python"
