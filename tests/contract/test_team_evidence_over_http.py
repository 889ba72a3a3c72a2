"""Evidence about a team's own model through a real server: no database at hand, only MLflow's REST interface."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.errors import ConfigError, GateDenied
from resnet_ops_registry import attest_evidence, promote
from resnet_ops_registry.cards.publishing import card_of
from resnet_ops_registry.portfolio.reading import read_portfolio
from tests.contract.conftest import Server
from tests.unit.registry.team_models import TEAM, answers, govern, make_version, write_predictions

RULES = (
    "rule: threshold, metric: test.top1, bound: low, min: 0.85\n"
    "rule: comparison, split: test, mode: not_worse, margin: 0.03, alpha: 0.05, method: mcnemar, without_champion: pass"
)


@pytest.fixture(scope="module")
def versions(server: Server) -> tuple[int, int]:
    """Two registered folders, of which the first was signed and is the champion."""
    govern(RULES, server.database)
    champion, worse = (make_version(server.client, each) for each in ("champion", "worse"))
    file = write_predictions(Path("champion.csv"), *answers(900, 45))
    assert attest_evidence(TEAM, champion, "ci", predictions=file).refusals == {"@champion": None}
    promote(TEAM, champion, "champion")
    return champion, worse


def gate_check(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(build_app(), ["gate", "check", TEAM, *words])
    return result.exit_code, result.output


def test_the_verdict_is_asked_for_without_a_database_and_its_status_gates_a_merge(
    server: Server, versions: tuple[int, int]
) -> None:
    champion, worse = map(str, versions)
    assert gate_check(champion, "--alias", "@Champion") == (0, "parts v1 may become @champion.\n")
    status, said = gate_check(worse, "--alias", "champion")
    nobody = "parts v2 may not become @champion: there is no evidence signed by a trusted pipeline key.\n"
    assert (status, said) == (1, nobody)
    file = write_predictions(Path("worse.csv"), *answers(900, 90))
    attest_evidence(TEAM, int(worse), "ci", predictions=file)
    status, said = gate_check(worse, "--json")
    (verdict,) = json.loads(said)
    assert (status, verdict["allowed"], verdict["target"]) == (1, False, "@champion")
    assert "-5.00 points against @champion v1 (0 won, 45 lost of 900" in verdict["reasons"][0]
    status, said = gate_check(worse)
    assert (status, said) == (1, f"parts v2 may not become @champion: {verdict['reasons'][0]}.\n")
    assert gate_check(champion, "--alias", "other")[0] == 1
    with pytest.raises(GateDenied, match="0 won, 45 lost of 900"):
        promote(TEAM, int(worse), "champion")
    with pytest.raises(ConfigError, match="version=99"):
        attest_evidence(TEAM, 99, "ci", predictions=file)


def test_card_and_portfolio_are_read_over_http(server: Server, versions: tuple[int, int]) -> None:
    card = card_of(server.client, TEAM, versions[0])
    assert card.title == "parts v1"
    assert card.evidence.metrics["test.top1"].n == 900
    found = read_portfolio(TEAM, Path("reports"))
    assert "v1" in [entry.label for entry in found.entries]
