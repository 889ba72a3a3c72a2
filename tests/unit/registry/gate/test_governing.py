"""Which policy governs which model: the exact name first, whatever signs are in it; and a word where it is none."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy, policy_for
from tests.unit.registry.conftest import POLICY, Runner

NAMES = ["scan[v2]", "scan[!a]", "scan*", "scan?", "[", "[]", "a[b", "scan[v2]*", "*", "scan [v2] (2026)"]
NAME = "digits-classifier"


def governed(model: str) -> str | None:
    with open_database() as connection:
        found = policy_for(connection, model)
    return found.policy.model if found else None


def apply(*models: str) -> None:
    with open_database() as connection:
        for model in models:
            apply_policy(connection, POLICY.replace(NAME, f"'{model}'"), "p.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_a_policy_governs_the_model_of_its_very_name(client: MlflowClient, name: str) -> None:
    apply(name)
    assert governed(name) == name
    client.create_registered_model(name)
    client.create_model_version(name, "nowhere")
    with pytest.raises(MlflowException, match="may not become @champion"):
        client.set_registered_model_alias(name, "champion", "1")


def test_the_exact_name_comes_before_every_pattern_and_patterns_stay_patterns(client: MlflowClient) -> None:
    apply("scan[v2]", "scan[[]v2]*", "*")
    assert governed("scan[v2]") == "scan[v2]"
    assert governed("scan[v2]-beta") == "scan[[]v2]*"
    assert governed("scanv") == "scan[v2]"
    assert governed("else") == "*"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("scan-v2", False),
        ("scan-v[12]", False),
        ("Scan-v2", True),
        ("scan", True),
        ("scan_*", True),
        ("*", False),
    ],
)
def test_applying_a_policy_that_governs_nothing_says_so(
    client: MlflowClient, run: Runner, project: Path, model: str, told: bool
) -> None:
    client.create_registered_model("scan-v2")
    client.create_model_version("scan-v2", "nowhere")
    file = project / "p.yaml"
    file.write_text(POLICY.replace(NAME, f"'{model}'"))
    assert ("It governs no registered model" in run("policy", "apply", str(file))) is told


def test_applying_a_pattern_behind_another_policy_says_that_it_governs_nothing(
    client: MlflowClient, run: Runner, project: Path
) -> None:
    client.create_registered_model("scan-v2")
    client.create_model_version("scan-v2", "nowhere")
    apply("scan-v2")
    file = project / "p.yaml"
    file.write_text(POLICY.replace(NAME, "'scan-*'"))
    assert "other policies come before it" in run("policy", "apply", str(file)).replace("\n", " ")
