"""Waivers and reproductions, through the store and the commands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError
from resnet_ops_registry import check, promote
from tests.unit.registry.conftest import NAME, Publisher, Runner, make_model
from tests.unit.registry.people import APPROVALS, REPRODUCED, entries, govern, refusal, revoke, trust, waive

pytestmark = pytest.mark.usefixtures("login")


@pytest.mark.slow
def test_a_waiver_lets_one_rule_not_count_and_says_by_whom(
    run: Runner, published: Publisher, client: MlflowClient
) -> None:
    published(low=0.90)
    govern()
    key = trust("jo", "lead")
    said = waive(run, "jo", until="20d")
    assert "(accuracy waived by jo until" in said
    assert "demo day" in client.get_model_version(NAME, "1").tags["gate champion"]
    verdict = check(NAME, 1, "champion")
    assert (verdict.allowed, verdict.rules[0].passed, verdict.reasons) == (True, False, [])
    promote(NAME, 1, "champion")
    assert entries()[-1].event.detail["waived"] == verdict.waived
    assert "waived" in run("gate", "explain", NAME, "1")
    revoke(key)
    assert "low end is below" in refusal()


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["role", "rule", "too long", "promoter"])
def test_a_waiver_that_the_policy_does_not_allow_is_worthless(
    run: Runner, published: Publisher, wrong: str, login: Callable[[str], None]
) -> None:
    published(low=0.90)
    govern(APPROVALS.replace("count: 2", "count: 1") if wrong == "rule" else "")
    trust("jo", "reviewer" if wrong == "role" else "lead")
    waive(
        run,
        "jo",
        until="31d" if wrong == "too long" else "14d",
        rule="eyes" if wrong == "rule" else "accuracy",
    )
    if wrong == "promoter":
        login("jo")
    reasons = refusal()
    assert "low end is below" in reasons
    assert wrong != "rule" or "0 of 1 approvals" in reasons


@pytest.mark.slow
def test_a_reproduction_to_the_bit_counts_and_another_does_not(
    run: Runner, published: Publisher, model_folder: Path, project: Path
) -> None:
    published()
    govern(REPRODUCED)
    trust("kim", "reviewer")
    other = make_model(project / "models" / "other", seed=5)
    measured = project / "measurements.json"
    measured.write_text(json.dumps({"test.top1": {"value": 0.975, "n": 360}}))
    command = ("attest", "reproduction", NAME, "1", "--key", "kim", "--weights")
    said = run(*command, str(other), "--measurements", str(measured))
    assert "not those of digits-classifier v1" in said
    assert "test.top1: 0.975, was 0.980 (-0.005)" in said
    assert "kim's has other weights" in refusal()
    within = REPRODUCED.replace("roles", "within: {test.top1: 0.01}, roles")
    govern(within)
    assert check(NAME, 1, "champion").allowed
    govern(within.replace("0.01", "0.001"))
    assert "kim's test.top1 differs by 0.005" in refusal()
    govern(REPRODUCED)
    assert "to the bit" in run(*command, str(model_folder))
    assert check(NAME, 1, "champion").allowed
    with pytest.raises(ConfigError, match="holds no model"):
        run(*command, str(project))
