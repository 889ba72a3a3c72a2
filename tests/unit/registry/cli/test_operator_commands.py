"""The operator's commands: harden, audit, export, events."""

import csv
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops_registry import promote
from resnet_ops_registry.client.publish import Published

NAME = "digits-classifier"

pytestmark = pytest.mark.usefixtures("policy")


def run(*words: str) -> Any:
    return CliRunner().invoke(build_app(), list(words))


@pytest.fixture
def promoted(published: Callable[..., Published]) -> None:
    promote(NAME, published().version, "champion")


@pytest.mark.slow
def test_an_audit_says_that_nothing_was_changed_and_what_it_looked_at(promoted: None) -> None:
    answer = run("audit", "verify")
    assert answer.exit_code == 0, answer.output
    assert "1 guarded aliases" in answer.output
    head = json.loads(run("audit", "verify", "--json").stdout)["head"]
    assert run("audit", "verify", "--head", head).exit_code == 0
    assert run("audit", "verify", "--head", "0" * 64).exit_code == 1


@pytest.mark.slow
def test_an_audit_with_a_finding_exits_with_1(promoted: None, project: Path) -> None:
    (weights,) = (project / "var" / "artifacts").rglob("weights.safetensors")
    weights.write_bytes(b"evil")
    answer = run("audit", "verify", "--json")
    assert answer.exit_code == 1
    assert "files were changed" in json.loads(answer.stdout)["findings"][0]["problem"]


@pytest.mark.slow
def test_hardening_keeps_a_plain_client_out_until_it_is_taken_back(promoted: None, project: Path) -> None:
    from mlflow.exceptions import MlflowException

    assert "hardened now" in run("db", "harden").output
    uri = f"sqlite:///{project}/var/mlflow.db"
    plain = MlflowClient(uri, uri)
    with pytest.raises(MlflowException, match="through the gate alone"):
        plain.set_registered_model_alias(NAME, "challenger", "1")
    assert run("audit", "verify").exit_code == 0
    assert "removed" in run("db", "unharden").output
    plain.set_registered_model_alias(NAME, "challenger", "1")


@pytest.mark.slow
def test_the_ledger_is_exported_for_people_and_programs(promoted: None, project: Path) -> None:
    lines = [json.loads(line) for line in run("ledger", "export").stdout.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(later["previous"] == one["hash"] for one, later in itertools.pairwise(lines))
    assert run("ledger", "export", "--format", "csv", "--out", "ledger.csv").exit_code == 0
    rows = list(csv.DictReader(io.StringIO((project / "ledger.csv").read_text())))
    assert [row["hash"] for row in rows] == [line["hash"] for line in lines]
    # a spreadsheet would take @champion for a formula
    assert rows[-1]["target"] == "'@champion"
    assert run("ledger", "export", "--format", "xml").exit_code != 0


def test_events_need_an_address(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESNET_OPS_WEBHOOK_URL", raising=False)
    assert "RESNET_OPS_WEBHOOK_URL" in str(run("webhook", "send").exception)
