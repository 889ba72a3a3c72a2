"""Install by role: the bare wheel serves the gate without torch, what is missing is named, the core needs little."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import requests

from resnet_ops_registry import connect, promote
from resnet_ops_registry.attestations.keys import open_key
from tests.e2e.installed import Workplace, install, link, make_venv, serving
from tests.e2e.project import ROOT
from tests.unit.registry.conftest import NAME, POLICY, make_model, publish_model

pytestmark = pytest.mark.e2e

HEAVY = ("torch", "torchvision", "dvc", "evidently", "great_expectations", "onnxruntime")
NEEDS = {
    "drift reference": ("torch", "train"),
    "drift judge": ("evidently", "monitoring"),
    "drift ui": ("evidently", "monitoring"),
    "monitor run": ("prometheus_client", "monitoring"),
    "monitor serve": ("prometheus_client", "monitoring"),
    "monitor show": ("prometheus_client", "monitoring"),
    "monitor propose": ("prometheus_client", "monitoring"),
    "monitor test-alert": ("apprise", "monitoring"),
    "log serve": ("httptools", "serve"),
    "train_model": ("torch", "train"),
    "evaluate_model": ("torch", "train"),
    "benchmark_model": ("torch", "train"),
    "export_model": ("torch", "train"),
    "build_reference": ("torch", "train"),
}
"""What the bare wheel lacks for a command or a stage: the package, and the extra that brings it."""

Answers = dict[str, tuple[object, str]]


@pytest.fixture(scope="module")
def answers(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What every command and every stage says where the bare wheel is installed with what it demands, and no more."""
    workplace = Workplace(tmp_path_factory.mktemp("project"), bare)
    shutil.copy(ROOT / "params.yaml", workplace.folder)
    done = workplace.run(bare, ROOT / "tests" / "e2e" / "every_command.py")
    assert done.returncode == 0, done.stderr
    found: Answers = json.loads(done.stdout)
    return found


def test_no_command_and_no_stage_ends_in_a_traceback_without_the_extras(answers: Answers) -> None:
    assert len(answers) > 100
    assert {name: said for name, (_, said) in answers.items() if "Traceback" in said} == {}
    assert {status for status, _ in answers.values()} <= {0, 1, 2}


def test_every_help_is_shown_without_the_extras(answers: Answers) -> None:
    shown = {name: status for name, (status, _) in answers.items() if name.endswith("--help")}
    assert set(shown.values()) == {0}


@pytest.mark.parametrize("name", NEEDS)
def test_what_lacks_an_extra_says_which_and_how_to_install_it(name: str, answers: Answers) -> None:
    package, extra = NEEDS[name]
    status, said = answers[name]
    assert status == 1
    assert f"needs {package}, not installed here. Install: pip install 'resnet-ops[{extra}]'" in said


def test_the_registrys_commands_the_doctor_and_the_families_lack_nothing(answers: Answers) -> None:
    lacking = {name for name, (_, said) in answers.items() if "not installed here" in said}
    groups = (
        "gate",
        "policy",
        "keys",
        "ledger",
        "audit",
        "registry",
        "promote",
        "ui",
        "card",
        "portfolio",
        "db",
        "families",
        "doctor",
    )
    assert not [name for name in lacking if name.split()[0] in groups or name == "attest evidence"]


def test_the_core_trains_evaluates_and_measures_on_torch_torchvision_numpy_and_safetensors(
    wheel: Path, tmp_path: Path
) -> None:
    python = make_venv(tmp_path / "venv")
    assert install(python, "--no-deps", "--no-index", wheel).returncode == 0
    link(python, ["torch", "torchvision", "numpy", "safetensors"])
    done = Workplace(tmp_path, python).run(python, ROOT / "tests" / "e2e" / "core_alone.py")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["installed"] == [], "the environment is not bare"
    assert found["epochs"] == 2
    assert 0 <= found["measured"]["test.top1"] <= 1
    assert found["measured"]["cpu.latency_p99_ms"] > 0


def test_all_holds_every_extra_and_no_extra_repeats_what_the_bare_wheel_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    reached, waiting = set(), ["all"]
    while waiting:
        extra = waiting.pop()
        reached.add(extra)
        for text in extras[extra]:
            if text.startswith("resnet-ops["):
                waiting += text.removeprefix("resnet-ops[").rstrip("]").split(",")
    assert reached == set(extras) - {"dev"}
    assert not {text for extra in reached for text in extras[extra]} & set(project["dependencies"])


@pytest.fixture(scope="module")
def server(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The bare wheel in a fresh environment, installed by pip from the package index: a registry server's."""
    place = tmp_path_factory.mktemp("server")
    python, constraints = make_venv(place / "venv"), ("--constraint", ROOT / "constraints.txt")
    # something small first: where there is no index, that is no fault of the wheel
    tried = install(python, "--no-deps", "--retries", "0", *constraints, "idna")
    if tried.returncode != 0:
        pytest.skip(f"the package index cannot be reached: {tried.stderr.strip().splitlines()[-1]}")
    done = install(python, "--no-compile", *constraints, wheel)
    assert done.returncode == 0, done.stderr
    (place / "project").mkdir()
    return Workplace(place / "project", python)


def test_a_fresh_servers_environment_is_whole_and_holds_no_torch(server: Workplace) -> None:
    code = f"from importlib.util import find_spec; print([n for n in {HEAVY} if find_spec(n) is not None])"
    assert server.run(server.python, "-c", code).stdout.strip() == "[]"
    checked = subprocess.run(
        ["python", "-m", "pip", "--python", str(server.python), "check"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout


def test_a_fresh_server_refuses_an_unproven_version_and_allows_a_proven_one(
    server: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the publisher's machine: with torch, the key, and no database
    open_key("pipeline")
    shutil.copy("var/keys/pipeline.pub.pem", server.folder)
    (server.folder / "policy.yaml").write_text(POLICY)
    command, database = server.python.parent / "resnet-ops", f"sqlite:///{server.folder}/gated.db"
    with serving(server, "gated", "gated:") as address:
        for words in ("policy apply policy.yaml", "keys trust pipeline.pub.pem --role pipeline"):
            done = server.run(command, *words.split(), MLFLOW_TRACKING_URI=database)
            assert done.returncode == 0, done.stderr
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        client = connect()
        proven = publish_model(client, make_model(tmp_path / "proven", seed=0), low=0.96)
        weak = publish_model(client, make_model(tmp_path / "weak", seed=1), low=0.90)
        files = str(client.get_model_version(NAME, str(weak.version)).source)
        # registered beside the others, with nothing signed about it
        unproven = client.create_model_version(NAME, files, model_id=files.rpartition("/")[2])
        refused = [ask_for_champion(address, int(each.version)) for each in (weak, unproven)]
        promote(NAME, proven.version, "champion")
        champion = int(client.get_model_version_by_alias(NAME, "champion").version)
    assert champion == proven.version
    assert [answer.status_code in (400, 409) for answer in refused] == [True, True]
    reasons = [answer.json()["message"] for answer in refused]
    assert "its interval's low end is below 0.950" in reasons[0]
    assert "evidence" in reasons[1], reasons[1]


def ask_for_champion(address: str, version: int) -> requests.Response:
    alias = {"name": NAME, "alias": "champion", "version": str(version)}
    return requests.post(f"{address}/api/2.0/mlflow/registered-models/alias", json=alias, timeout=60)
