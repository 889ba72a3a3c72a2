"""A policy that observes: nothing is refused, and what would have been is recorded and shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import select

from resnet_ops.errors import ConfigError
from resnet_ops_registry.database.ledger import Entry, list_entries
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.mode import with_mode
from resnet_ops_registry.gate.policies import apply_policy, policy_for
from resnet_ops_registry.gate.policy_file import read_policy
from resnet_ops_registry.operations.outbox import message_type
from tests.unit.registry.people import audited
from tests.unit.registry.team_models import TEAM, make_version

Runner = Callable[..., str]
POLICY = """\
model: parts
evidence_roles: [pipeline]  # whose word counts
guards:
  - aliases: [champion]
    rules:
      - {rule: threshold, metric: test.top1, min: 0.9, why: promised}
"""
REASON = "there is no evidence signed by a trusted pipeline key"


@pytest.fixture
def file(client: MlflowClient, project: Path) -> Path:
    """Of a policy that observes, and is in force."""
    path = project / "parts.yaml"
    path.write_text(with_mode(POLICY, "parts.yaml", "observe"))
    with open_database() as connection:
        apply_policy(connection, path.read_text(), str(path))
    return path


def entries() -> list[Entry]:
    with open_database() as connection:
        return list_entries(connection, TEAM)


def holder(client: MlflowClient) -> int | None:
    found = client.get_registered_model(TEAM).aliases.get("champion")
    return None if found is None else int(found)


def test_what_would_be_refused_goes_through_and_is_written_down(client: MlflowClient, file: Path) -> None:
    number = make_version(client, "one")
    client.set_registered_model_alias(TEAM, "champion", str(number))
    assert holder(client) == number
    (entry,) = entries()
    assert (entry.event.outcome, entry.event.detail["allowed"]) == ("observed", False)
    assert entry.event.detail["reasons"] == [REASON]
    assert message_type(entry) == "observed"
    report = audited()
    assert report.findings == ()
    assert f"parts @champion: v{number} would not pass today: {REASON}" in report.notes
    assert any("parts policy 1 observes" in note for note in report.notes)


def test_a_versions_page_says_so_and_mlflows_tables_hold_nothing_of_it(
    client: MlflowClient, file: Path
) -> None:
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag

    number = make_version(client, "one")
    tags = client.get_model_version(TEAM, str(number)).tags
    assert tags == {"gate champion": f"would have been refused: {REASON}"}
    with open_database() as connection:
        assert connection.execute(select(SqlModelVersionTag.__table__)).all() == []


def test_one_command_enforces_and_one_observes_again(client: MlflowClient, file: Path, run: Runner) -> None:
    one, two = make_version(client, "one"), make_version(client, "two")
    client.set_registered_model_alias(TEAM, "champion", str(one))
    said = " ".join(run("policy", "enforce", TEAM).split())
    assert "parts policy 2 is in force now" in said
    assert f"It keeps @champion: parts v{one} may not become @champion: {REASON}" in said
    with pytest.raises(MlflowException, match="may not become @champion"):
        client.set_registered_model_alias(TEAM, "champion", str(two))
    assert holder(client) == one
    assert read_policy(file.read_text(), "f").mode == "enforce"
    assert client.get_model_version(TEAM, str(two)).tags == {"gate champion": f"refused: {REASON}"}
    assert "It observes" in run("policy", "observe", TEAM)
    client.set_registered_model_alias(TEAM, "champion", str(two))
    assert [entry.event.outcome for entry in entries()] == ["observed", "refused", "observed"]
    assert file.read_text() == with_mode(POLICY, "parts.yaml", "observe")
    assert "was so already" in run("policy", "observe", TEAM)


def test_a_check_tells_what_would_be_refused_and_lets_a_job_go_on(
    client: MlflowClient, file: Path, run: Runner
) -> None:
    number = str(make_version(client, "one"))
    said = run("gate", "check", TEAM, number)
    assert "would have been refused as @champion" in said
    (told,) = json.loads(run("gate", "check", TEAM, number, "--json"))
    assert (told["allowed"], told["outcome"]) == (False, "observed")
    run("policy", "enforce", TEAM)
    (told,) = json.loads(run("gate", "check", TEAM, number, "--json", status=1))
    assert (told["allowed"], told["outcome"]) == (False, "refused")


def test_a_file_that_was_edited_since_is_left_alone_and_named(
    client: MlflowClient, file: Path, run: Runner
) -> None:
    edited = file.read_text() + "# a note\n"
    file.write_text(edited)
    said = " ".join(run("policy", "enforce", TEAM).split())
    assert "is not what is in force: write `mode: enforce` there too" in said
    assert file.read_text() == edited
    assert "It enforced until now" in " ".join(run("policy", "apply", str(file)).split())


def test_a_rollback_goes_back_to_the_last_holder(client: MlflowClient, file: Path, run: Runner) -> None:
    one, two = make_version(client, "one"), make_version(client, "two")
    for number in (one, two):
        client.set_registered_model_alias(TEAM, "champion", str(number))
    run("rollback", TEAM, "champion")
    assert holder(client) == one
    assert [(each.event.action, each.event.outcome) for each in entries()][-1] == ("rollback", "observed")


def test_an_audit_finds_files_that_were_changed_since_a_version_was_let_through(
    client: MlflowClient, file: Path
) -> None:
    number = make_version(client, "one", run=False)
    client.set_registered_model_alias(TEAM, "champion", str(number))
    Path("logged/one/model.pkl").write_text("evil")
    (found,) = audited().findings
    assert str(found) == "parts @champion: v1: its files were changed since it was given the alias"


def test_a_model_under_a_pattern_is_not_switched_alone(client: MlflowClient, run: Runner) -> None:
    with open_database() as connection:
        apply_policy(connection, POLICY.replace("model: parts", 'model: "part*"'), "p.yaml")
    with pytest.raises(ConfigError, match=r"governed by part\* policy 1: switch that"):
        run("policy", "observe", TEAM)
    assert "It observes" in run("policy", "observe", "part*")
    with open_database() as connection:
        applied = policy_for(connection, TEAM)
    assert applied is not None
    assert applied.policy.observes


FLOW = "{model: parts, evidence_roles: [p], guards: []}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (POLICY, "mode: observe\n" + POLICY),
        ("# first\n---\n  model: parts\n  evidence_roles: [p]\n  guards: []\n", None),
        (FLOW, FLOW.replace("{model", "{mode: observe, model")),
        (POLICY + 'mode: "enforce"  # so far\n', POLICY + "mode: observe  # so far\n"),
    ],
)
def test_a_policys_text_changes_in_its_mode_alone(text: str, wanted: str | None) -> None:
    changed = with_mode(text, "f", "observe")
    assert wanted in (None, changed)
    assert read_policy(changed, "f") == read_policy(text, "f").model_copy(update={"mode": "observe"})
    assert with_mode(with_mode(changed, "f", "enforce"), "f", "observe") == changed


def test_a_policy_without_a_mode_enforces() -> None:
    assert not read_policy(POLICY, "f").observes
    with pytest.raises(ConfigError, match=r"f:2: mode: Input should be 'enforce' or 'observe'"):
        read_policy(POLICY.replace("evidence_roles", "mode: off\nevidence_roles"), "f")
