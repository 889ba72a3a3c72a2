"""The champion that a candidate has to beat, whichever way somebody tries around it; and policies replayed."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, GateDenied
from resnet_ops_registry import check, promote
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.outcomes import pack_outcomes
from resnet_ops_registry.attestations.trust import list_trusted, revoke_key, trust_key
from resnet_ops_registry.common.target import Target
from resnet_ops_registry.database.ledger import list_entries
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.history import past_holders
from resnet_ops_registry.gate.policies import apply_policy
from tests.unit.registry.conftest import NAME, Publisher, Runner, make_model

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

POLICY = """\
model: digits-classifier
evidence_roles: [pipeline]
guards:
  - aliases: [champion]
    stages: [Production]
    rules:
      - {rule: comparison, split: test, mode: better, margin: 0, alpha: 0.05, method: mcnemar,
         without_champion: pass, why: production only gets better}
"""


@pytest.fixture
def models(
    published: Publisher, make_evidence: Callable[..., Evidence], project: Path, client: MlflowClient
) -> Callable[..., None]:
    """Publish versions 1, 2, ... that get so many of 100 images wrong, the same images first."""

    def publish_models(wrong: Sequence[int], first_seed: int = 0) -> None:
        for seed, count in enumerate(wrong, first_seed):
            folder = make_model(project / "models" / f"seed{seed}", seed)
            right = np.arange(100) >= count
            outcomes = {"test": pack_outcomes("2" * 64, right)}
            evidence = make_evidence(folder=folder).model_copy(update={"outcomes": outcomes})
            published(evidence=evidence, folder=folder)

    with open_database() as connection:
        apply_policy(connection, POLICY, "p.yaml")
    return publish_models


def holder(client: MlflowClient) -> str:
    return str(client.get_model_version_by_alias(NAME, "champion").version)


def test_a_better_candidate_follows_and_a_worse_one_does_not(
    models: Callable[..., None], client: MlflowClient
) -> None:
    models([20, 10, 15])
    promote(NAME, 1, "champion")
    promote(NAME, 2, "champion")
    with pytest.raises(GateDenied, match=r"-5.00 points against @champion v2 \(0 won, 5 lost of 100"):
        promote(NAME, 3, "champion")
    assert holder(client) == "2"
    client.set_registered_model_alias(NAME, "champion", "2")


def test_taking_the_champion_off_first_is_no_way_around_it(
    models: Callable[..., None], client: MlflowClient
) -> None:
    models([10, 20])
    promote(NAME, 1, "champion")
    client.delete_registered_model_alias(NAME, "champion")
    with pytest.raises(GateDenied, match="against @champion v1"):
        promote(NAME, 2, "champion")
    client.delete_model_version(NAME, "1")
    with pytest.raises(GateDenied, match="against @champion v1"):
        promote(NAME, 2, "champion")


def test_another_spelling_of_the_alias_has_the_same_champion(
    models: Callable[..., None], client: MlflowClient
) -> None:
    models([10, 20])
    promote(NAME, 1, "champion")
    with pytest.raises(GateDenied, match="v1"):
        promote(NAME, 2, "Champion")


def test_a_stage_has_its_own_champion_even_when_that_is_archived_in_the_same_request(
    models: Callable[..., None], client: MlflowClient
) -> None:
    models([10, 20])
    client.transition_model_version_stage(NAME, "1", "Production")
    promote(NAME, 2, "champion")
    with pytest.raises(Exception, match="against stage Production v1"):
        client.transition_model_version_stage(NAME, "2", "Production", archive_existing_versions=True)
    assert client.get_model_version(NAME, "1").current_stage == "Production"


def test_a_retired_champion_need_not_be_beaten(models: Callable[..., None], run: Runner) -> None:
    models([10, 20])
    promote(NAME, 1, "champion")
    with open_database() as connection:
        trust_key(connection, open_key("kim").public, "kim", "reviewer")
    run("retire", NAME, "1", "--why", "misreads sevens", "--key", "kim")
    promote(NAME, 2, "champion")


def test_a_rollback_to_a_worse_version_is_not_compared(
    models: Callable[..., None], run: Runner, client: MlflowClient
) -> None:
    models([20, 10])
    promote(NAME, 1, "champion")
    promote(NAME, 2, "champion")
    with pytest.raises(GateDenied, match="points against @champion v2"):
        promote(NAME, 1, "champion")
    run("rollback", NAME, "champion")
    assert holder(client) == "1"
    with open_database() as connection:
        held = list(past_holders(connection, "default", NAME, Target(kind="alias", name="champion")))
    assert [(each.version, each.rollback) for each in held] == [(1, True), (2, False), (1, False)]


def test_a_champion_whose_evidence_is_worthless_now_cannot_be_followed_unseen(
    models: Callable[..., None], project: Path
) -> None:
    models([20])
    promote(NAME, 1, "champion")
    with open_database() as connection:
        revoke_key(connection, list_trusted(connection)[0].id)
        (project / "var" / "keys" / "pipeline.pem").unlink()
        trust_key(connection, open_key().public, "pipeline", "pipeline")
    models([5], first_seed=1)
    with pytest.raises(GateDenied, match="@champion v1 has no evidence"):
        promote(NAME, 2, "champion")


STRICT = POLICY.replace(
    "    rules:\n",
    "    rules:\n      - {rule: threshold, metric: test.top1, bound: low, min: LIMIT, why: so}\n",
)


def test_a_policy_is_tried_on_past_decisions_before_it_is_put_into_force(
    models: Callable[..., None], run: Runner, project: Path
) -> None:
    models([20, 10, 15])
    for version in (1, 2):
        promote(NAME, version, "champion")
    with pytest.raises(GateDenied):
        promote(NAME, 3, "champion")
    file = project / "new.yaml"
    file.write_text(POLICY)
    assert "3 past decisions: 3 stay" in run("gate", "simulate", str(file))
    file.write_text(STRICT.replace("LIMIT", "0.99"))
    before = json.loads(run("ledger", "verify", "--json"))
    replayed = json.loads(run("gate", "simulate", str(file), "--json"))
    assert [(each["was_allowed"], each["would_be_allowed"]) for each in replayed] == [
        (True, False),
        (True, False),
        (False, False),
    ]
    assert "low end is below 0.990" in replayed[0]["reasons"][0]
    assert "against @champion v2" in replayed[2]["reasons"][1]
    file.write_text(POLICY.replace("mode: better, margin: 0", "mode: not_worse, margin: 0.2"))
    assert "2 stay, 0 would be refused, 1 would be allowed" in run("gate", "simulate", str(file))
    file.write_text(POLICY.replace("aliases: [champion]", "aliases: [other]"))
    assert "2 stay, 0 would be refused, 1 would be allowed" in run("gate", "simulate", str(file))
    file.write_text(POLICY.replace("model: digits-classifier", "model: other"))
    assert "0 past decisions" in run("gate", "simulate", str(file))
    assert json.loads(run("ledger", "verify", "--json")) == before


def test_a_simulation_trusts_the_keys_of_that_time(
    models: Callable[..., None], run: Runner, project: Path
) -> None:
    models([20])
    promote(NAME, 1, "champion")
    with open_database() as connection:
        revoke_key(connection, list_trusted(connection)[0].id)
        first = list_entries(connection, NAME)[-1].event
    assert first.outcome == "allowed"
    (project / "p.yaml").write_text(POLICY)
    assert "1 past decisions: 1 stay" in run("gate", "simulate", str(project / "p.yaml"))
    assert not check(NAME, 1, "champion").allowed


def test_a_policy_is_compared_with_the_one_in_force_and_its_history_kept(
    models: Callable[..., None], run: Runner, project: Path
) -> None:
    file = project / "new.yaml"
    file.write_text(POLICY)
    assert "is in force as it is" in run("policy", "diff", str(file))
    file.write_text(POLICY.replace("alpha: 0.05", "alpha: 0.01"))
    said = run("policy", "diff", str(file), status=1)
    assert "--- digits-classifier policy 1" in said
    assert "+      - {rule: comparison, split: test, mode: better, margin: 0, alpha: 0.01" in said
    run("policy", "apply", str(file))
    history = json.loads(run("policy", "history", NAME, "--json"))
    assert [(row["version"], row["content"] == POLICY) for row in history] == [(1, True), (2, False)]
    assert "digits-classifier" in run("policy", "history")
    with pytest.raises(ConfigError, match="cannot be read"):
        run("policy", "diff", "none.yaml")
