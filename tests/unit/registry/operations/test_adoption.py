"""A registry that was there before the gate: what is said of it, what is written down, and what stays as it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.common.settings import database_uri
from resnet_ops_registry.database.ledger import list_entries
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import list_policies
from tests.unit.registry.people import audited
from tests.unit.registry.team_models import TEAM, make_version

Runner = Callable[..., str]


@pytest.fixture
def plain(client: MlflowClient) -> MlflowClient:
    """MLflow without the gate, as it was before."""
    return MlflowClient(database_uri(), database_uri())


@pytest.fixture
def existing(plain: MlflowClient) -> MlflowClient:
    """Three versions, of which the second is the champion, and tags that somebody wrote."""
    for number, accuracy in enumerate((0.8, 0.953, 0.5), start=1):
        assert make_version(plain, str(number)) == number
        plain.log_metric(str(plain.get_model_version(TEAM, str(number)).run_id), "accuracy", accuracy)
    plain.set_registered_model_alias(TEAM, "champion", "2")
    plain.set_registered_model_alias(TEAM, "challenger", "3")
    plain.set_model_version_tag(TEAM, "1", "evidence", "see the wiki")
    return plain


def adopted(run: Runner, *words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run("adopt", "--apply", "--json", *words))
    return found


def test_looking_writes_files_and_nothing_else(existing: MlflowClient, run: Runner) -> None:
    (told,) = json.loads(run("adopt", "--json"))
    assert (told["model"], told["state"], told["mode"]) == (TEAM, "proposed", "observe")
    seen = {each["version"]: each for each in told["versions"]}
    assert [each["now"]["outcome"] for each in told["versions"]] == ["observed"] * 3
    assert seen[2]["holds"] == ["@champion"]
    assert seen[2]["by_run"]["allowed"]
    assert seen[3]["by_run"]["reasons"] == ["accuracy 0.500 is below 0.953"]
    assert told["taken_tags"] == ["v1: evidence"]
    with open_database() as connection:
        assert list_policies(connection) == ()
        assert list_entries(connection) == []


def test_a_file_that_a_person_edited_is_what_counts(existing: MlflowClient, run: Runner) -> None:
    run("adopt")
    file = Path("policies/parts.yaml")
    file.write_text(file.read_text().replace("min: 0.953", "min: 0.4"))
    (told,) = json.loads(run("adopt", "--json"))
    assert told["state"] == "as it lies there"
    assert all(each["by_run"]["allowed"] for each in told["versions"])
    with pytest.raises(ConfigError, match="is there already"):
        run("policy", "init", TEAM)


def test_prompts_and_models_without_a_version_are_left_out_and_named(
    existing: MlflowClient, run: Runner
) -> None:
    existing.create_registered_model("empty")
    existing.create_prompt("greet")
    existing.create_prompt_version("greet", "Hello {{name}}")
    told = json.loads(run("adopt", "--json"))
    left_out = [("empty", "left out", "it has no version"), ("greet", "left out", "it is a prompt")]
    assert [(each["model"], each["state"], each.get("why")) for each in told] == [
        (TEAM, "proposed", None),
        *left_out,
    ]
    assert [file.name for file in Path("policies").iterdir()] == ["parts.yaml"]
    assert "empty is left out: it has no version" in run("adopt")
    (recorded, *others) = adopted(run)
    assert recorded["state"] == "recorded"
    assert [(each["model"], each["state"], each["why"]) for each in others] == left_out
    with pytest.raises(ConfigError, match="There is no version of empty"):
        run("adopt", "empty")


def test_a_model_that_no_policy_can_be_written_for_does_not_keep_the_others_from_theirs(
    existing: MlflowClient, run: Runner
) -> None:
    long = "a" * 255
    existing.create_registered_model(long)
    existing.create_model_version(long, Path("logged/1").resolve().as_uri())
    (told, failed) = json.loads(run("adopt", "--json", status=1))
    assert (told["model"], told["state"]) == (TEAM, "proposed")
    assert (failed["model"], failed["state"]) == (long, "failed")
    assert "at most 250 characters" in failed["why"]
    said = run("adopt", "--apply", status=1)
    assert "parts @champion v2 is in the ledger as what stood" in said
    assert f"{long} failed: There is no policies/" in said
    assert audited().findings == ()
    with pytest.raises(ConfigError, match="Propose one first"):
        run("adopt", "--apply", TEAM, long)


def test_what_stands_is_in_the_ledger_and_explains_it(existing: MlflowClient, run: Runner) -> None:
    run("adopt")
    (recorded,) = adopted(run)
    assert recorded == {
        "model": TEAM,
        "target": "@champion",
        "version": 2,
        "state": "recorded",
        "before": None,
        "unread": False,
    }
    report = audited()
    assert report.findings == ()
    assert [line.partition(":")[2].split()[0] for line in report.extended] == ["policy", "adopted"]
    with open_database() as connection:
        entry = list_entries(connection)[-1]
    assert (entry.event.model, entry.event.version, entry.event.target) == (TEAM, 2, "@champion")
    assert len(str(entry.event.detail["files"])) == 64
    (again,) = adopted(run)
    assert again["state"] == "known"


def test_a_person_goes_back_to_what_stood_at_adoption(
    existing: MlflowClient, client: MlflowClient, run: Runner
) -> None:
    run("adopt")
    adopted(run)
    client.set_registered_model_alias(TEAM, "champion", "3")
    run("rollback", TEAM, "champion")
    assert int(client.get_registered_model(TEAM).aliases["champion"]) == 2


def test_adopting_again_records_what_moved_before_the_gate_decided_and_overrules_no_decision(
    existing: MlflowClient, client: MlflowClient, run: Runner
) -> None:
    run("adopt")
    adopted(run)
    existing.set_registered_model_alias(TEAM, "champion", "1")
    assert any("bypassed the gate" in str(found) for found in audited().findings)
    (moved,) = adopted(run)
    assert (moved["state"], moved["before"], moved["version"]) == ("moved", 2, 1)
    assert audited().findings == ()
    client.set_registered_model_alias(TEAM, "champion", "2")
    existing.set_registered_model_alias(TEAM, "champion", "3")
    (past,) = adopted(run)
    assert (past["state"], past["before"]) == ("bypassed", 2)
    assert any("bypassed the gate" in str(found) for found in audited().findings)


@pytest.mark.parametrize("number", ["2", "3"], ids=["the one that held it", "another"])
def test_adopting_again_overrules_no_removal(
    existing: MlflowClient, client: MlflowClient, run: Runner, number: str
) -> None:
    run("adopt")
    adopted(run)
    client.delete_registered_model_alias(TEAM, "champion")
    assert audited().findings == ()
    existing.set_registered_model_alias(TEAM, "champion", number)
    (past,) = adopted(run)
    assert (past["state"], past["before"], past["version"]) == ("bypassed", None, int(number))
    assert "which took it off: promote it again" in " ".join(run("adopt", "--apply").split())
    (found,) = audited().findings
    assert f"v{number} bypassed the gate: the ledger's last decision took v2 off" in str(found)


def test_a_champion_that_the_gate_gives_again_after_a_removal_is_explained(
    existing: MlflowClient, client: MlflowClient, run: Runner
) -> None:
    run("adopt")
    adopted(run)
    client.delete_registered_model_alias(TEAM, "champion")
    client.set_registered_model_alias(TEAM, "champion", "3")
    (known,) = adopted(run)
    assert known["state"] == "known"
    assert audited().findings == ()


def test_an_audit_finds_files_that_were_changed_since_adoption(existing: MlflowClient, run: Runner) -> None:
    run("adopt")
    adopted(run)
    for file in Path().rglob("model.pkl"):
        file.write_text("evil")
    (found,) = audited().findings
    assert "its files were changed since it was given the alias" in str(found)


def test_files_that_cannot_be_read_at_adoption_are_named(existing: MlflowClient, run: Runner) -> None:
    run("adopt")
    for file in list(Path().rglob("model.pkl")):
        file.parent.rename(file.parent.with_name(f"{file.parent.name}-away"))
    blind = "Its files could not be read: without evidence, no audit will see that they change."
    assert blind in " ".join(run("adopt", "--apply").split())
    assert blind in " ".join(run("adopt", "--apply").split()), "known is not seen"
    (known,) = adopted(run)
    assert (known["state"], known["unread"]) == ("known", True)


def test_only_an_operator_adopts_as_soon_as_there_is_one(existing: MlflowClient, run: Runner) -> None:
    run("adopt")
    key = open_key("ops")
    with open_database() as connection:
        trust_key(connection, key.public, "ops", "operator")
    with pytest.raises(ConfigError, match="--key NAME"):
        run("adopt", "--apply")
    with open_database() as connection:
        assert list_policies(connection) == ()
    adopted(run, "--key", "ops")
    report = audited()
    assert report.findings == ()
    assert any("adopted parts 2 @champion (signed by" in line for line in report.extended)


def test_nothing_is_adopted_without_a_policy_that_a_person_could_read(
    existing: MlflowClient, run: Runner
) -> None:
    with pytest.raises(ConfigError, match="Propose one first: resnet-ops adopt"):
        run("adopt", "--apply")
    run("adopt")
    file = Path("policies/parts.yaml")
    file.write_text(file.read_text().replace("model: parts", "model: other"))
    with pytest.raises(ConfigError, match="is a policy for other, not for parts"):
        run("adopt", "--apply")
