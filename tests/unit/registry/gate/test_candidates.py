"""Candidates: policies on first use, verdicts, the proposal, and which version serves."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.evidence import Metric
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.database.ledger import list_entries
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.candidates import (
    apply_first_policies,
    judge_candidates,
    propose,
    serving_version,
    validation_scores,
)
from resnet_ops_registry.gate.policies import apply_policy, list_policies, policy_for
from tests.unit.registry.conftest import NAME, POLICY, Publisher, evidence_of, make_model


def policy_file(folder: Path, text: str = POLICY) -> Path:
    path = folder / "digits.yaml"
    path.write_text(text)
    return path


def test_the_first_policy_of_a_name_is_put_into_force_once(client: MlflowClient, project: Path) -> None:
    file = policy_file(project)
    assert "is now in force" in apply_first_policies([file])[0]
    assert apply_first_policies([file]) == []


def test_a_changed_policy_stays_out_of_force_and_the_command_to_apply_it_is_named(
    client: MlflowClient, project: Path
) -> None:
    apply_first_policies([policy_file(project)])
    said = apply_first_policies([policy_file(project, POLICY.replace("min: 0.95", "min: 0.10"))])
    assert "resnet-ops policy apply" in said[0]
    with open_database() as connection:
        assert [applied.content for applied in list_policies(connection)] == [POLICY]


def test_a_policy_that_cannot_be_read_is_named_with_the_remedy(client: MlflowClient, project: Path) -> None:
    file = policy_file(project)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"digits\.yaml .* UTF-8"):
        apply_first_policies([file])
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigError, match=r"digits\.yaml .*: Is a directory"):
        apply_first_policies([file])


@pytest.mark.parametrize("over", ["digits-*", "*", "digits-classifie?", "[a-z]*"])
def test_a_first_policy_takes_no_model_out_of_an_operators_pattern(
    client: MlflowClient, project: Path, over: str
) -> None:
    with open_database() as connection:
        strict, _ = apply_policy(
            connection, POLICY.replace(NAME, f'"{over}"').replace("0.95", "0.99"), "ops.yaml"
        )
    (said,) = apply_first_policies([policy_file(project)])
    assert f"({strict.label})" in said
    with open_database() as connection:
        found = policy_for(connection, NAME)
    assert found is not None
    assert found.label == strict.label


@pytest.mark.parametrize("mine", ["digits-*", "digits-classifier*", "digits-classifie?"])
def test_a_first_pattern_takes_no_model_out_of_what_is_in_force(
    client: MlflowClient, project: Path, mine: str
) -> None:
    with open_database() as connection:
        apply_policy(connection, POLICY.replace(NAME, '"d*"'), "ops.yaml")
    assert (
        "is not what is in force"
        in apply_first_policies([policy_file(project, POLICY.replace(NAME, f'"{mine}"'))])[0]
    )
    with open_database() as connection:
        assert len(list_policies(connection)) == 1


def test_first_policies_of_several_models_are_all_put_into_force(client: MlflowClient, project: Path) -> None:
    other = project / "other.yaml"
    other.write_text(POLICY.replace(NAME, "other"))
    assert ["is now in force" in said for said in apply_first_policies([policy_file(project), other])] == [
        True
    ] * 2


def test_where_an_operators_key_is_trusted_the_first_policy_is_the_operators_too(
    client: MlflowClient, project: Path
) -> None:
    with open_database() as connection:
        trust_key(connection, open_key("ops").public, "ops", "operator")
    (said,) = apply_first_policies([policy_file(project)])
    assert "is an operator's to apply" in said
    with open_database() as connection:
        assert list_policies(connection) == ()


@pytest.mark.slow
def test_candidates_are_judged_in_the_order_they_are_given(
    client: MlflowClient, policy: None, published: Publisher, project: Path
) -> None:
    good = published(0.96).version
    bad = published(0.90, folder=make_model(project / "models" / "other", seed=1)).version
    found = judge_candidates(client, NAME, {"weak": bad, "strong": good})
    assert [candidate.member for candidate in found] == ["weak", "strong"]
    assert found[1].refusals == {"@champion": None, "stage Production": None}
    assert "test.top1" in (found[0].refusals["@champion"] or "")


@pytest.mark.slow
def test_the_best_candidate_that_passes_becomes_challenger_and_the_alias_is_set_once(
    client: MlflowClient, policy: None, published: Publisher, project: Path
) -> None:
    good = published(0.96).version
    bad = published(0.90, folder=make_model(project / "models" / "other", seed=1)).version
    candidates = judge_candidates(client, NAME, {"strong": good, "weak": bad})
    for _ in range(2):
        assert propose(client, NAME, candidates, {"strong": 0.97, "weak": 0.99}) == "strong"
    assert int(client.get_model_version_by_alias(NAME, "challenger").version) == good


@pytest.mark.slow
def test_the_candidate_is_chosen_by_what_its_signed_evidence_says_of_validation(
    client: MlflowClient, policy: None, published: Publisher, project: Path
) -> None:
    versions = {}
    for seed, (member, top1, validation) in enumerate((("lucky", 0.99, 0.95), ("best", 0.98, 0.97))):
        folder = make_model(project / "models" / member, seed)
        evidence = evidence_of(folder, 0.96)
        metrics = {
            "test.top1": Metric(value=top1, n=360, low=0.96, high=0.995),
            "validation.top1": Metric(value=validation, n=180),
        }
        evidence = evidence.model_copy(update={"metrics": metrics})
        versions[member] = published(evidence=evidence, folder=folder).version
    candidates = judge_candidates(client, NAME, versions)
    scores = validation_scores(client, NAME, candidates)
    assert scores == {"lucky": 0.95, "best": 0.97}
    assert propose(client, NAME, candidates, scores) == "best"
    silent = published(folder=make_model(project / "models" / "silent", seed=9)).version
    with pytest.raises(EvidenceError, match=f"v{silent} .* validation.top1.*attest evaluation"):
        validation_scores(client, NAME, judge_candidates(client, NAME, {"silent": silent}))


@pytest.mark.slow
def test_nobody_is_proposed_where_nobody_passes_and_then_nothing_serves(
    client: MlflowClient, policy: None, published: Publisher
) -> None:
    version = published(0.90).version
    candidates = judge_candidates(client, NAME, {"weak": version})
    assert propose(client, NAME, candidates, {"weak": 0.99}) is None
    assert serving_version(client, NAME)["version"] is None


@pytest.mark.slow
def test_a_candidate_is_told_by_how_many_images_it_misses_the_policy_in_force(
    client: MlflowClient, policy: None, published: Publisher, project: Path
) -> None:
    folder = make_model(project / "models" / "few", seed=3)
    few = Metric(value=0.9, n=20, low=0.7, high=0.97, method="wilson 0.95")
    evidence = evidence_of(folder, 0.96).model_copy(update={"metrics": {"test.top1": few}})
    version = published(evidence=evidence, folder=folder).version
    (candidate,) = judge_candidates(client, NAME, {"few": version})
    (line,) = candidate.shortfalls
    assert "test.top1: 18 of 20 test images are right" in line


@pytest.mark.slow
def test_the_champion_serves_before_the_challenger(
    client: MlflowClient, policy: None, published: Publisher
) -> None:
    version = published(0.96).version
    client.set_registered_model_alias(NAME, "challenger", str(version))
    assert serving_version(client, NAME)["alias"] == "challenger"
    client.set_registered_model_alias(NAME, "champion", str(version))
    served = serving_version(client, NAME)
    assert (served["alias"], served["version"]) == ("champion", version)
    with open_database() as connection:
        assert any(entry.event.target == "@champion" for entry in list_entries(connection))


@pytest.mark.slow
def test_from_which_score_boxes_count_is_said_where_the_evidence_says_it(
    client: MlflowClient, policy: None, published: Publisher, model_folder: Path
) -> None:
    said = evidence_of(model_folder, 0.96)
    assert said.score_threshold is None
    version = published(evidence=said).version
    client.set_registered_model_alias(NAME, "challenger", str(version))
    assert "score_threshold" not in serving_version(client, NAME)
    later = evidence_of(model_folder, 0.96)
    metrics = later.metrics | {"test.threshold": Metric(value=0.25, n=72)}
    attest(client, NAME, version, later.model_copy(update={"metrics": metrics}), open_key())
    assert serving_version(client, NAME)["score_threshold"] == 0.25
