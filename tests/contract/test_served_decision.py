"""MLflow's own model server, over HTTP to the registry behind the gate, answers at a version's signed threshold."""

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.model import load_model
from resnet_ops_registry.attestations.evidence import Metric
from tests.serving import answering, free_port
from tests.unit.core.makers import random_images
from tests.unit.registry.conftest import NAME, evidence_of, make_model, publish_model

pytestmark = pytest.mark.slow


@contextmanager
def serving(uri: str, log: Path) -> Iterator[str]:
    """`mlflow models serve` of a version; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    address = f"http://127.0.0.1:{port}"
    with answering([*command, "--port", str(port)], address, log):
        yield address


def predictions(address: str, images: np.ndarray) -> Any:
    body = json.dumps({"inputs": images.tolist()}).encode()
    request = urllib.request.Request(
        f"{address}/invocations", body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.loads(response.read())["predictions"]


def test_the_server_says_the_decision_beside_the_probabilities_where_there_is_an_operating_point(
    server: Any,
) -> None:
    folder = make_model(server.folder / "models" / "decides", seed=2)
    images = random_images(40, seed=1)
    said = load_model(folder).predict(images).probabilities
    scores = OperatingPoint(("3", "8"), 0.5).scores(said, tuple("0123456789"))
    threshold = float(np.sort(scores)[[19, 20]].mean())
    evidence = evidence_of(folder, 0.96)
    chosen = Metric(value=threshold, n=90, method="chosen on validation")
    decides = evidence.model_copy(
        update={"positive": ("3", "8"), "metrics": {**evidence.metrics, "operating.threshold": chosen}}
    )
    version = publish_model(server.client, folder, evidence=decides).version
    with serving(f"models:/{NAME}/{version}", server.folder / "decides.log") as address:
        answer = predictions(address, images)
    assert set(answer) == {"probabilities", "score", "decision"}
    np.testing.assert_allclose(answer["probabilities"], said, rtol=1e-5)
    assert answer["decision"] == (scores >= threshold).tolist()
    assert sum(answer["decision"]) == 20


def test_the_server_of_a_version_without_one_says_the_probabilities_alone(server: Any) -> None:
    images = random_images(5, seed=1)
    with serving(f"models:/{NAME}/{server.good.version}", server.folder / "plain.log") as address:
        answer = predictions(address, images)
    np.testing.assert_allclose(
        answer, load_model(server.folder / "models" / "good").predict(images).probabilities, rtol=1e-5
    )
