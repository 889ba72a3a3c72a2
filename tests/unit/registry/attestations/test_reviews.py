"""Reviews of judged windows: said with a signature, told on the version's page, kept in the ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry import promote
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.people import in_words
from resnet_ops_registry.attestations.predicates import Review, spoken
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.gate.reviews import accepted_reference, reviews_of
from tests.unit.registry.conftest import NAME, Publisher, Runner
from tests.unit.registry.people import entries, govern, revoke, trust

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

OLD, NEW = "a" * 64, "b" * 64


def review(client: MlflowClient, who: str, action: str = "acknowledge", **more: Any) -> ModelVersion:
    said = {"window": "monday", "verdict": "alarm", "verdict_digest": "0" * 64, "created": datetime.now(UTC)}
    return attest(client, NAME, 1, spoken(Review, action=action, **{**said, **more}), open_key(who))


def accept(client: MlflowClient, who: str, digest: str, **more: Any) -> ModelVersion:
    return review(client, who, "accept-reference", comment="new lamps", reference=digest, **more)


def test_a_review_is_told_on_the_versions_page_and_in_the_ledger(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published()
    trust("kim", "reviewer")
    review(client, "kim")
    found = review(client, "kim", "comment", comment="the lens\nis dirty")
    newest, first = reviews_of(found, "monday")
    assert newest.endswith("UTC kim commented (alarm): the lens is dirty")
    assert first.endswith("kim acknowledged (alarm)")
    assert reviews_of(found, "tuesday") == []
    last = entries()[-1].event
    assert (last.action, last.outcome, last.version) == ("review accepted", "recorded", 1)
    assert last.detail["said"]["window"] == "monday"
    assert "kim: comment" in run("ledger", "show")


def test_reviews_change_no_decision_and_are_no_grounds_of_one(
    published: Publisher, client: MlflowClient
) -> None:
    published()
    govern()
    trust("kim", "reviewer")
    review(client, "kim")
    promote(NAME, 1, "champion")
    assert len(entries()[-1].event.detail["statements"]) == 1


def test_the_newest_accepted_reference_counts_until_its_key_is_revoked(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published()
    trust("kim", "reviewer")
    lee = trust("lee", "operator")
    assert accepted_reference(accept(client, "kim", OLD)) == OLD
    earlier = datetime.now(UTC) - timedelta(hours=1)
    accept(client, "kim", "c" * 64, created=earlier)
    found = accept(client, "lee", NEW)
    assert accepted_reference(found) == found.tags["resnet_ops.reference_digest"] == NEW
    assert "lee accepted it as the new reference (alarm): new lamps" in found.tags["drift reference"]
    run("keys", "revoke", lee)
    after = client.get_model_version(NAME, "1")
    assert accepted_reference(after) == after.tags["resnet_ops.reference_digest"] == OLD
    assert "lee" not in after.tags["drift reference"]
    revoke(trust("kim", "reviewer"))
    assert accepted_reference(after) is None


def test_a_key_that_nobody_trusts_reviews_nothing_and_a_pipelines_key_accepts_no_reference(
    published: Publisher, client: MlflowClient
) -> None:
    published()
    open_key("mallory")
    with pytest.raises(EvidenceError, match=r"not accepted: .*not trusted here"):
        review(client, "mallory")
    with pytest.raises(EvidenceError, match=r"reviewer or operator .*; pipeline is pipeline"):
        accept(client, "pipeline", OLD)
    assert (entries()[-1].event.action, entries()[-1].event.outcome) == ("statement", "refused")
    assert accepted_reference(client.get_model_version(NAME, "1")) is None
    review(client, "pipeline")


@pytest.mark.parametrize("key", ["resnet_ops.reference_digest", "drift reference", "Drift review monday"])
def test_nobody_but_the_gate_writes_the_tags(published: Publisher, client: MlflowClient, key: str) -> None:
    published()
    with pytest.raises(MlflowException, match="written by the gate alone"):
        client.set_model_version_tag(NAME, "1", key, OLD)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"comment": "x" * 501}, "comment cannot be signed in a review: .*500"),
        ({"window": "../x"}, "window cannot be signed"),
        ({"action": "delete"}, "action cannot be signed"),
        ({"action": "comment"}, "comment needs words"),
        ({"action": "rollback", "comment": " "}, "rollback needs words"),
        ({"reference": OLD}, "only there"),
        ({"action": "accept-reference", "comment": "x"}, "only there"),
        ({"action": "accept-reference", "reference": OLD}, "needs words"),
        ({"verdict_digest": "short"}, "verdict_digest cannot be signed"),
    ],
)
def test_what_says_too_much_or_too_little_cannot_be_signed(said: dict[str, str], problem: str) -> None:
    whole = {"window": "w", "verdict": "alarm", "verdict_digest": "0" * 64, "action": "acknowledge"}
    with pytest.raises(ConfigError, match=problem):
        spoken(Review, created=datetime.now(UTC), **{**whole, **said})


def test_a_long_history_of_a_window_is_cut_at_its_oldest_reviews(
    published: Publisher, client: MlflowClient
) -> None:
    published()
    trust("kim", "reviewer")
    for number in range(9):
        found = review(client, "kim", "comment", comment=f"{number} " + "x" * 490)
    told = reviews_of(found, "monday")
    assert " 8 x" in told[0]
    assert len("\n".join(told)) <= 4000


def test_the_ledger_tells_in_words_who_said_what() -> None:
    said = {"window": "monday", "verdict": "alarm", "action": "rollback", "comment": "misreads sevens"}
    assert in_words({"name": "kim", "said": said}) == "kim: rollback, window monday (alarm): misreads sevens"
    assert (
        in_words({"name": "kim", "said": {**said, "comment": ""}}) == "kim: rollback, window monday (alarm)"
    )
    assert in_words({"name": "kim", "said": {"why": "broken"}}) == "kim: broken"
    assert in_words({"reasons": ["x"]}) == ""
