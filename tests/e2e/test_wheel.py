"""The wheel in a folder with a user's own `registry/`, `monitoring/` and `pipelines/`: the gate still closes."""

import sysconfig
import zipfile
from pathlib import Path

import pytest
import requests

from tests.e2e.installed import Workplace, install, make_venv, serving

pytestmark = pytest.mark.e2e

OWN_PACKAGES = {
    "registry": 'raise ImportError("the registry package of the user")',
    "monitoring": "open_store = add_commands = 'rubbish'",
    "pipelines": 'raise ImportError("the pipelines package of the user")',
}


@pytest.fixture(scope="module")
def workplace(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A fresh environment with the wheel alone; what it depends on is borrowed from the environment of the tests."""
    place = tmp_path_factory.mktemp("workplace")
    python = make_venv(place / "venv")
    done = install(python, "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    (packages,) = (place / "venv" / "lib").glob("python*/site-packages")
    # .pth files in a folder that a .pth file names are not read, so the editable install stays out of sight
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    folder = place / "project"
    for name, content in OWN_PACKAGES.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(content + "\n")
    return Workplace(folder, python)


def test_the_wheel_holds_four_packages_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    packages = {"resnet_ops", "resnet_ops_registry", "resnet_ops_monitoring", "resnet_ops_pipelines"}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert "resnet_ops_registry/database/migrations/env.py" in names
    made = ("pipeline.yaml", "params.template.yaml", "project.template.md", "ignored.txt")
    assert {f"resnet_ops_pipelines/new_project/{name}" for name in made} <= set(names)
    assert any(name.startswith("resnet_ops_registry/database/migrations/versions/rev_0001") for name in names)
    assert not [name for name in names if "/tests/" in name or name.endswith((".db", ".pem"))]


def test_the_installed_code_is_the_wheels_and_the_user_keeps_their_packages(workplace: Workplace) -> None:
    code = "import resnet_ops, resnet_ops_registry; print(resnet_ops.__file__, resnet_ops_registry.__file__)"
    done = workplace.run(workplace.python, "-c", code)
    assert done.returncode == 0, done.stderr
    assert all(file.startswith(str(workplace.python.parents[1])) for file in done.stdout.split())
    assert (
        "the registry package of the user" in workplace.run(workplace.python, "-c", "import registry").stderr
    )


def test_the_command_answers_with_every_group(workplace: Workplace) -> None:
    done = workplace.run(workplace.python.parent / "resnet-ops", "--help")
    assert done.returncode == 0, done.stderr
    assert all(f" {group} " in done.stdout for group in ("gate", "promote", "registry", "drift", "ui"))


def make_champion(address: str) -> requests.Response:
    """Register a version of a model that no policy governs, and ask for @champion."""
    api = f"{address}/api/2.0/mlflow"
    version = {"name": "parts", "source": "s3://models/parts"}
    for path, body in {
        "registered-models/create": {"name": "parts"},
        "model-versions/create": version,
    }.items():
        made = requests.post(f"{api}/{path}", json=body, timeout=60)
        assert made.ok, made.text
    alias = {"name": "parts", "alias": "champion", "version": "1"}
    return requests.post(f"{api}/registered-models/alias", json=alias, timeout=60)


def test_the_servers_gate_loads_beside_the_users_packages_and_refuses(workplace: Workplace) -> None:
    with serving(workplace, "plain", "") as plain, serving(workplace, "gated", "gated:") as gated:
        allowed, refused = make_champion(plain), make_champion(gated)
        found = requests.get(
            f"{gated}/api/2.0/mlflow/registered-models/get", params={"name": "parts"}, timeout=60
        )
    assert allowed.status_code == 200, "the control: MLflow without the gate lets anything through"
    assert refused.status_code in (400, 409)
    assert refused.json()["message"].startswith("parts v1 may not become @champion: no policy governs parts")
    assert "aliases" not in found.json()["registered_model"]
