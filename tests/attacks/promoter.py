"""One of several processes that promote at once: `python -m tests.attacks.promoter DATABASE SEED COUNT VERSIONS`."""

import json
import random
import sys

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tests.attacks.registry import MODEL


def promote(database: str, seed: int, count: int, versions: int) -> dict[str, int]:
    """How often what came out: `allowed`, or the error code of MLflow."""
    client, chance = MlflowClient(database, f"gated:{database}"), random.Random(seed)
    client.get_registered_model(MODEL)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    outcomes: dict[str, int] = {}
    for _ in range(count):
        try:
            client.set_registered_model_alias(MODEL, "champion", str(chance.randint(1, versions)))
            outcome = "allowed"
        except MlflowException as error:
            outcome = str(error.error_code)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    seed, count, versions = map(int, numbers)
    sys.stdout.write(json.dumps(promote(name, seed, count, versions)) + "\n")
