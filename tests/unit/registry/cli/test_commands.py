import json
import os
from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, GateDenied, ServiceError, StorageError
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.common.settings import mask_password, registry_uri
from resnet_ops_registry.operations import server
from tests.serving import free_port
from tests.unit.registry.conftest import NAME, Publisher, Runner

POLICY = Path(__file__).parents[4] / "policies" / "digits-classifier.yaml"


def test_a_new_user_is_told_what_to_do(run: Runner) -> None:
    assert "Run: make repro" in run("registry", "ls")
    assert "resnet-ops policy apply FILE" in run("policy", "show")


@pytest.mark.slow
def test_the_gate_is_asked_explained_and_obeyed(run: Runner, published: Publisher) -> None:
    published(low=0.90)
    assert "is in force now" in run("policy", "apply", str(POLICY))
    assert "was in force already" in run("policy", "apply", str(POLICY))
    assert "may not become @champion" in run("gate", "check", NAME, "1", "--alias", "champion", status=1)
    verdicts = json.loads(run("gate", "explain", NAME, "1", "--json"))
    assert [verdict["target"] for verdict in verdicts] == ["@champion", "stage Production", "@champion-edge"]
    assert verdicts[0]["reasons"][0].startswith("test.top1")
    assert "promises" in run("gate", "explain", NAME, "1")
    with pytest.raises(GateDenied, match="resnet-ops gate explain"):
        run("promote", NAME, "1", "champion")
    published(low=0.96)
    assert "is @challenger now" in run("promote", NAME, "1", "@challenger")
    assert "champion: refused" in run("registry", "ls").replace("\n", " ")
    assert "test.worst_class_recall" not in run("registry", "ls")
    assert "worst_class" in run("registry", "ls", "--all")
    (version,) = json.loads(run("registry", "ls", "--json"))
    assert (version["aliases"], version["member"]) == (["challenger"], "tiny")
    assert version["gate"]["champion"].startswith("refused: test.worst_class_recall is missing")
    assert "refused" in run("ledger", "show", "--model", NAME)
    assert "The ledger is whole" in run("ledger", "verify")


@pytest.mark.slow
def test_a_new_policy_changes_what_the_version_page_says(
    run: Runner, client: MlflowClient, published: Publisher, project: Path
) -> None:
    published(low=0.90)
    policy = project / "policy.yaml"
    rule = "{rule: threshold, metric: test.top1, bound: low, min: LIMIT, why: so}"
    guards = f"guards: [{{aliases: [champion], rules: [{rule}]}}]"
    text = f"model: {NAME}\nevidence_roles: [pipeline]\n{guards}\n"
    for limit, verdict in (("0.95", "refused: "), ("0.85", "passes")):
        policy.write_text(text.replace("LIMIT", limit))
        run("policy", "apply", str(policy))
        assert client.get_model_version(NAME, "1").tags["gate champion"].startswith(verdict)


@pytest.mark.slow
def test_who_held_what_before_a_policy_guarded_it_is_told_and_can_be_recorded(
    run: Runner, client: MlflowClient, published: Publisher, project: Path
) -> None:
    published(low=0.96)
    client.set_registered_model_alias(NAME, "line-1", "1")
    file, told = project / "policy.yaml", []
    for guarded in ("champion", "champion, line-1"):
        rule = "{rule: threshold, metric: test.top1, bound: low, min: 0.95, why: so}"
        guards = f"guards: [{{aliases: [{guarded}], rules: [{rule}]}}]"
        file.write_text(f"model: {NAME}\nevidence_roles: [pipeline]\n{guards}\n")
        told.append(" ".join(run("policy", "apply", str(file)).split()))
    assert ["v1 is @line-1" in each for each in told] == [False, True]
    assert "bypassed the gate" in run("audit", "verify", status=1)
    run("adopt", NAME, "--apply")
    run("audit", "verify")
    assert "v1 is @line-1" not in run("policy", "apply", str(file))


@pytest.mark.slow
def test_keys_are_made_trusted_and_revoked(run: Runner) -> None:
    assert "resnet-ops keys trust var/keys/me.pub.pem" in run("keys", "new", "me")
    run("keys", "trust", "var/keys/me.pub.pem", "--role", "pipeline")
    here, trusted = json.loads(run("keys", "ls", "--json"))
    assert (here["where"], trusted["where"], trusted["key"]) == ("here", "trusted", here["key"])
    run("keys", "revoke", here["key"][:16])
    assert json.loads(run("keys", "ls", "--json"))[1]["where"] == "revoked"
    for wrong in ("", "0" * 8, here["key"][:7]):
        with pytest.raises(ConfigError, match="names 0 trusted keys"):
            run("keys", "revoke", wrong)


def test_a_missing_policy_file_is_named(run: Runner) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        run("policy", "apply", "none.yaml")


def test_a_server_that_is_down_is_said_within_seconds(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    assert registry_uri() == "http://me:secret@127.0.0.1:9"
    with pytest.raises(
        ServiceError, match=r"127\.0\.0\.1:9 \(MLFLOW_TRACKING_URI\).*make ui.*unset"
    ) as caught:
        connect()
    assert "secret" not in str(caught.value)


def test_a_database_that_cannot_be_written_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "var").write_text("a file is in the way")
    with pytest.raises(StorageError, match=r"var/mlflow\.db \(MLFLOW_TRACKING_URI\)"):
        connect()


def test_a_database_server_that_is_down_is_said(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://me:secret@127.0.0.1:9/mlflow")
    with pytest.raises(ServiceError, match="does not answer") as caught:
        connect()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("gated:postgresql://me:p:a@host/db", "gated:postgresql://me:***@host/db"),
        ("postgresql://me:hu/sh@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:hu@sh@host/db is down", "postgresql://me:***@host/db is down"),
        ("postgresql://me:hu?sh#x@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:hush@host/db", "postgresql://:***@host/db"),
        (
            "postgresql://host/db?password=hush&sslmode=require",
            "postgresql://host/db?password=***&sslmode=require",
        ),
        ("postgresql:///db?user=me&sslpassword=hush", "postgresql:///db?user=me&sslpassword=***"),
        ("host=db user=me password=hush dbname=x", "host=db user=me password=*** dbname=x"),
        ("gated:password=hush", "gated:password=***"),
        ("'http://host/x?Token=hush'", "'http://host/x?Token=***'"),
        ("gated:postgresql://me:hu sh@host/db is down", "gated:postgresql://me:***@host/db is down"),
        ("postgresql://me: h u@sh@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:12 hush@host/db", "postgresql://me:***@host/db"),
        ("http://host:80 is down, ask kim@host", "http://host:80 is down, ask kim@host"),
        ("http://host:80/x", "http://host:80/x"),
        ("models:/digits@champion", "models:/digits@champion"),
    ],
)
def test_a_password_is_masked_wherever_a_url_may_hold_it(said: str, shown: str) -> None:
    assert mask_password(said) == shown


@pytest.mark.slow
def test_the_servers_command_holds_no_password(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/hush.db")
    monkeypatch.setattr(os, "execv", lambda program, words: run.extend(words))
    for name in ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_REGISTRY_STORE_URI"):
        monkeypatch.setenv(name, "")  # put back afterwards
    server.run_server("127.0.0.1", free_port())
    assert "server" in run
    assert "hush" not in " ".join(run)
    assert os.environ["MLFLOW_REGISTRY_STORE_URI"].startswith("gated:sqlite:///")
    assert os.environ["MLFLOW_BACKEND_STORE_URI"].endswith("hush.db")
