"""The project checked out; and checked out where a real `dvc repro` has run once."""

from pathlib import Path

import pytest

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
        project.repro()

    made = make_once(request, tmp_path_factory, "pipeline", make)
    return Project(made / "checkout").copy(tmp_path_factory.mktemp("reproduced") / "checkout")
