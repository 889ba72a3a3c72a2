"""Versions of models that no pipeline made, and predictions of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mlflow import MlflowClient

from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.trust import trust_key
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy

__all__ = ["TEAM", "answers", "govern", "make_version", "write_predictions"]

TEAM = "parts"


def govern(rules: str, uri: str | None = None) -> None:
    """Put a policy with these rules for @champion into force, and trust the key `ci` for evidence."""
    text = f"model: {TEAM}\nevidence_roles: [pipeline]\nguards:\n  - aliases: [champion]\n    rules:\n"
    with open_database(uri) as connection:
        apply_policy(
            connection, text + "".join(f"      - {{{rule}, why: so}}\n" for rule in rules.split("\n")), "p"
        )
        trust_key(connection, open_key("ci").public, "ci", "pipeline")


def make_version(
    client: MlflowClient, content: str, *, run: bool = True, folder: Path = Path("logged")
) -> int:
    """Register a model folder that MLflow itself did not make, with a run or without; gives its number."""
    if TEAM not in {each.name for each in client.search_registered_models()}:
        client.create_registered_model(TEAM)
    files = folder / content
    files.mkdir(parents=True)
    (files / "MLmodel").write_text("flavors: {python_function: {loader_module: team}}\n")
    (files / "model.pkl").write_text(content)
    if not run:
        return int(client.create_model_version(TEAM, files.resolve().as_uri()).version)
    experiment = client.get_experiment_by_name(TEAM)
    number = experiment.experiment_id if experiment else client.create_experiment(TEAM)
    made = client.create_run(number).info
    client.log_artifacts(made.run_id, str(files), "model")
    return int(client.create_model_version(TEAM, f"{made.artifact_uri}/model", made.run_id).version)


def answers(n: int, wrong: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n,) true classes, the same for a seed, and answers of which the first so many are wrong."""
    actual = np.random.default_rng(seed).integers(0, classes, n)
    predicted = actual.copy()
    predicted[:wrong] = (predicted[:wrong] + 1) % classes
    return actual, predicted


def write_predictions(
    file: Path,
    actual: Sequence[int] | np.ndarray,
    predicted: Sequence[int] | np.ndarray,
    *,
    ids: str | None = "row",
) -> Path:
    """A CSV file; ids: how each id begins, None for no ids."""
    head = "actual,predicted\n" if ids is None else "id,actual,predicted\n"
    rows = [
        f"{truth},{said}\n" if ids is None else f"{ids}{number},{truth},{said}\n"
        for number, (truth, said) in enumerate(zip(actual, predicted, strict=True))
    ]
    file.write_text(head + "".join(rows))
    return file
