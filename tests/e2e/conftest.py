"""The project checked out; and checked out where a real `dvc repro` has run once."""

from pathlib import Path

import pytest

from tests.e2e.project import Project, check_out


@pytest.fixture
def checkout(tmp_path: Path) -> Project:
    """A checkout in which nothing has run."""
    return check_out(tmp_path / "checkout")


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout in which `dvc repro` has run once. Tests that change it take a copy."""
    project = check_out(tmp_path_factory.mktemp("reproduced") / "checkout")
    project.repro()
    return project
