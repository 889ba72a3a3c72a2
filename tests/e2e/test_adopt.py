"""docs/adopt.md, every command of it in its order, on a registry of 20 models whose clients go on meanwhile."""

import json
import re
import shlex
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops_registry.database.ledger import list_entries
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.operations import audit
from tests.attacks.registry import without_settings
from tests.attacks.servers import Config, start
from tests.e2e.project import ROOT
from tests.serving import free_port

pytestmark = pytest.mark.e2e

DOCUMENT = (ROOT / "docs" / "adopt.md").read_text()
NAMES = [f"parts-{number:02}" for number in range(20)]
ENFORCED = "parts-00"
API = "api/2.0/mlflow/registered-models/alias"


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if not line.startswith("export")]


@dataclass
class Client:
    """Somebody who sets @canary of every model from version 1 to 3 and back, again and again, and reads @champion."""

    address: str
    stopped: threading.Event = field(default_factory=threading.Event)
    rounds: int = 0
    refused: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)

    def run(self) -> None:
        while not self.stopped.is_set():
            for version in ("3", "1"):
                for name in NAMES:
                    self.set_alias(name, version)
                    found = self.ask("GET", params={"name": name, "alias": "champion"})
                    if not found.ok:
                        self.odd.append(found.text)
            self.rounds += 1

    def set_alias(self, name: str, version: str) -> None:
        answer = self.ask("POST", json={"name": name, "alias": "canary", "version": version})
        if answer.status_code == 409 and "may not become @canary" in answer.text:
            self.refused.add(name)
        elif not answer.ok:
            self.odd.append(answer.text)

    def ask(self, method: str, **more: Any) -> requests.Response:
        """While the server is started again there is nobody to answer."""
        while True:
            try:
                return requests.request(method, f"{self.address}/{API}", timeout=60, **more)
            except requests.ConnectionError:
                time.sleep(0.1)

    def two_more_rounds(self) -> None:
        """Of which the second began and ended since this was asked for."""
        wanted = self.rounds + 2
        while self.rounds < wanted:
            time.sleep(0.05)


def fill(database: str, folder: Path) -> None:
    client = MlflowClient(database, database)
    experiment = client.create_experiment("parts")
    for name in NAMES:
        client.create_registered_model(name)
        for number, accuracy in enumerate((0.8, 0.9, 0.7), start=1):
            files = folder / f"{name}-{number}"
            files.mkdir(parents=True)
            (files / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: team\n")
            (files / "model.pkl").write_text(f"{name} {number}")
            run = client.create_run(experiment).info.run_id
            client.log_metric(run, "accuracy", accuracy)
            client.create_model_version(name, files.as_uri(), run)
        client.set_registered_model_alias(name, "champion", "2")
        client.set_registered_model_alias(name, "canary", "1")


def mlflows_tables(file: Path) -> dict[str, list[Any]]:
    """Every row of every table that is not ours."""
    with closing(sqlite3.connect(file)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: sorted(map(repr, connection.execute(f'SELECT * FROM "{name}"')))
            for name in names
            if not name.startswith(("resnet_ops_", "sqlite_"))
        }


@dataclass
class Walk:
    """What came of the page."""

    before: dict[str, list[Any]]
    after: dict[str, list[Any]]
    client: Client
    looked: list[dict[str, Any]]
    said: dict[str, str]
    statuses: dict[str, int]
    report: audit.Report
    outcomes: Mapping[str, tuple[str, ...]]


def resnet_ops(line: str) -> str:
    result = CliRunner().invoke(build_app(), shlex.split(line)[1:])
    assert result.exit_code == 0, (line, result.output, result.exception)
    return result.output


def champion(address: str, name: str, version: str) -> int:
    body = {"name": name, "alias": "champion", "version": version}
    return requests.post(f"{address}/{API}", json=body, timeout=60).status_code


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: bytes) -> Iterator[Walk]:
    folder, port = tmp_path_factory.mktemp("adopt"), free_port()
    file, address = folder / "mlflow.db", f"http://127.0.0.1:{port}"
    database = f"sqlite:///{file}"
    file.write_bytes(mlflow_tables)
    fill(database, folder / "files")
    client, said, statuses = Client(address), {}, {}
    thread = threading.Thread(target=client.run)
    look, keys, trust, adopt, serve, again, enforce, back = commands()
    assert serve.startswith("mlflow server ")
    with pytest.MonkeyPatch.context() as patch, without_settings():
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", database)
        try:
            with start(Config(gated=False, database="sqlite"), folder, database, port):
                before = mlflows_tables(file)
                thread.start()
                looked = json.loads(resnet_ops(f"{look} --json"))
                for line in (keys, trust, adopt):
                    said[line] = resnet_ops(line)
                client.two_more_rounds()
            with start(Config(gated=True, database="sqlite"), folder, database, port):
                said["again"] = resnet_ops(again)
                client.two_more_rounds()
                statuses["observed"] = champion(address, ENFORCED, "3")
                statuses["undone"] = champion(address, ENFORCED, "2")
                said[enforce] = resnet_ops(enforce)
                client.two_more_rounds()
                statuses["refused"] = champion(address, ENFORCED, "3")
                statuses["another model"] = champion(address, "parts-01", "3")
                statuses["another model undone"] = champion(address, "parts-01", "2")
                said[back] = resnet_ops(back)
                statuses["back"] = champion(address, ENFORCED, "3")
                statuses["back undone"] = champion(address, ENFORCED, "2")
                client.two_more_rounds()
                client.stopped.set()
                thread.join(300)
        finally:
            client.stopped.set()
        with open_database() as connection:
            report = audit.verify(connection)
            entries = list_entries(connection)
        about = [(each.event.model, each.event.target, each.event.outcome) for each in entries]
        outcomes = {
            name: tuple(outcome for model, target, outcome in about if (model, target) == (name, "@champion"))
            for name in NAMES
        }
        yield Walk(before, mlflows_tables(file), client, looked, said, statuses, report, outcomes)


def test_the_page_shows_each_step_once() -> None:
    assert [" ".join(line.split()[:3]) for line in commands()] == [
        "resnet-ops adopt",
        "resnet-ops keys new",
        "resnet-ops keys trust",
        "resnet-ops adopt --apply",
        "mlflow server --backend-store-uri",
        "resnet-ops adopt --apply",
        "resnet-ops policy enforce",
        "resnet-ops policy observe",
    ]


def test_mlflows_tables_are_as_they_were(walk: Walk) -> None:
    assert walk.before["registered_model_aliases"]
    assert walk.after == walk.before


def test_clients_went_on_and_only_the_enforced_model_refused_them(walk: Walk) -> None:
    assert walk.client.odd == []
    assert walk.client.refused == {ENFORCED}
    assert walk.client.rounds >= 8


def test_a_worse_version_is_told_before_anything_is_refused(walk: Walk) -> None:
    assert [each["model"] for each in walk.looked] == NAMES
    for each in walk.looked:
        by_run = {seen["version"]: seen["by_run"]["allowed"] for seen in each["versions"]}
        assert by_run == {1: False, 2: True, 3: False}


def test_observing_lets_through_enforcing_refuses_and_observing_again_lets_through(walk: Walk) -> None:
    assert walk.statuses == {
        "observed": 200,
        "undone": 200,
        "refused": 409,
        "another model": 200,
        "another model undone": 200,
        "back": 200,
        "back undone": 200,
    }
    assert walk.outcomes[ENFORCED] == ("recorded", "observed", "observed", "refused", "observed", "observed")
    assert walk.outcomes["parts-01"] == ("recorded", "observed", "observed")
    assert walk.outcomes["parts-02"] == ("recorded",)


def test_the_audit_explains_what_serves_and_knows_who_switched(walk: Walk) -> None:
    assert walk.report.findings == ()
    assert walk.report.guarded == 2 * len(NAMES)
    assert sum("observes" in note for note in walk.report.notes) == len(NAMES)
    switched = [line for line in walk.report.extended if f"policy applied {ENFORCED}" in line]
    assert [line.split()[6] for line in switched] == ["observe", "enforce", "observe"]
    assert all("signed by nobody" not in line for line in walk.report.extended[1:])
