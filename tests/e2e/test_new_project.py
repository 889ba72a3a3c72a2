"""`resnet-ops init` on a folder of images, then `dvc repro`: no file of the project is edited by hand."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from tests.e2e.project import ROOT, Project

pytestmark = pytest.mark.e2e

CLASSES, EACH = 4, 60
PACKAGES = ("resnet_ops", "registry", "monitoring", "pipelines")


@dataclass(frozen=True)
class TeamProject(Project):
    """A project that holds no code; `code` is where resnet-ops is installed."""

    code: Path = ROOT

    @property
    def environment(self) -> dict[str, str]:
        """As a checkout's, with the code from elsewhere."""
        places = [str(self.code / part) for part in (".", *PACKAGES[1:])]
        known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        return super().environment | {"PYTHONPATH": os.pathsep.join([*places, *filter(None, known)])}


def write_digits(folder: Path) -> None:
    """The first images of some digits, as PNG files in class folders."""
    digits = load_digits()
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
        for place in np.flatnonzero(digits.target == label)[:EACH]:
            pixels = np.round(digits.images[place] * 255 / 16).astype(np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{place:04d}.png")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> TeamProject:
    """Made by `init`, in which `dvc repro` has run once. The folder `as-written` beside it holds what was made."""
    place = TeamProject(tmp_path_factory.mktemp("team"))
    write_digits(place.folder / "images")
    done = place.run("resnet-ops", "init", "images", "--into", "digits", "--minutes", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.copytree(place.folder / "digits", place.folder / "as-written")
    made = TeamProject(place.folder / "digits")
    made.repro()
    return made


def test_the_pipeline_passes_with_no_edit_and_a_version_may_become_champion(project: TeamProject) -> None:
    written = project.folder.parent / "as-written"
    names = ("params.yaml", "dvc.yaml", "policies/digits.yaml", ".gitignore")
    assert all((project.folder / name).read_bytes() == (written / name).read_bytes() for name in names)
    gates = json.loads((project.folder / "reports/gates.json").read_text())
    passing = [each["version"] for each in gates["candidates"] if each["refusals"]["@champion"] is None]
    assert passing, gates
    promoted = project.run("resnet-ops", "promote", "digits", str(passing[0]), "champion")
    assert promoted.returncode == 0, promoted.stderr
    shown = project.run("python", "-m", "resnet_ops_pipelines.show_summary")
    assert shown.returncode == 0, shown.stderr
    assert "resnet-ops ui" in shown.stdout


def test_a_second_init_refuses_to_overwrite_the_project(project: TeamProject) -> None:
    before = (project.folder / "params.yaml").read_bytes()
    done = TeamProject(project.folder.parent).run("resnet-ops", "init", "images", "--into", "digits")
    assert done.returncode == 1
    assert "nothing is overwritten" in done.stderr
    assert (project.folder / "params.yaml").read_bytes() == before


def test_the_project_holds_no_code(project: TeamProject) -> None:
    listed = project.run("git", "ls-files", "--others", "--exclude-standard").stdout.split()
    assert not [name for name in listed if name.endswith((".py", ".ipynb", ".sh"))]
    assert {"params.yaml", "dvc.yaml", "dvc.lock", "README.md", "policies/digits.yaml"} <= {*listed}


def test_stages_run_again_when_the_installed_code_of_theirs_changes_and_only_then(
    project: TeamProject, tmp_path: Path
) -> None:
    members = yaml.safe_load((project.folder / "params.yaml").read_text())["family"]
    stage = f"train_model@{next(iter(members))}"
    assert "Running stage 'train_model" not in project.repro(stage)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    with (tmp_path / "resnet_ops/training/schedule.py").open("a") as file:
        file.write("# another release\n")
    upgraded = TeamProject(project.folder, code=tmp_path)
    assert upgraded.run("dvc", "repro", "lock_code").returncode == 0
    stale = json.loads(upgraded.run("dvc", "status", "--json").stdout)
    assert stage in stale
    assert not {"prepare_data", "validate_data"} & {*stale}
    project.repro("lock_code")
    assert stage not in json.loads(project.run("dvc", "status", "--json").stdout)
