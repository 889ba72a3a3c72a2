"""The alias moves, the server follows: only with what the gate lets pass, and without a request that fails."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.errors import ConfigError, EvidenceError, GateDenied
from resnet_ops.predictions import Predictions
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.source import Alias, fixed_version, named_alias
from resnet_ops_monitoring.serving.version import UNGATED, Version
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.client.promotion import promote
from resnet_ops_registry.client.retirement import retire
from resnet_ops_registry.common.connection import connect
from tests.unit.monitoring.scene import Scene
from tests.unit.monitoring.serving.fake_alias import FakeAlias, other_version
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import Live, serving, until
from tests.unit.registry.conftest import NAME, make_model, publish_model

CHAMPION = Alias(NAME, "champion", ungated=False, threads=1)
SOON = 0.01


def champion() -> Version:
    return CHAMPION.load(CHAMPION.place())


@pytest.fixture
def live(scene: Scene) -> Iterator[Live]:
    """In front of the champion, v3; v1 and v2 have evidence too."""
    with serving(
        champion(), alias=CHAMPION, prepare=lambda version: version.warm(4), poll_seconds=SOON
    ) as made:
        yield made


def wait_for_version(live: Live, version: int) -> None:
    until(
        lambda: live.scoring.swap.current.identity.version == str(version) or bool(live.scoring.swap.trouble)
    )
    assert not live.scoring.swap.trouble


def wait_for_trouble(live: Live, words: str) -> None:
    until(lambda: words in live.scoring.swap.trouble or live.scoring.swap.swaps > 0)
    assert words in live.scoring.swap.trouble


def version_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["version"])


def test_no_request_fails_while_the_alias_moves_and_each_names_its_version(scene: Scene, live: Live) -> None:
    done, images = Event(), scene.served.unseen[:1]

    def ask() -> list[str]:
        seen = []
        while not done.is_set():
            seen.append(version_of(live.score(images)))
        return seen

    with ThreadPoolExecutor(3) as clients:
        asking = [clients.submit(ask) for _ in range(3)]
        try:
            for version in [2, 3] * 3:
                promote(NAME, version, "champion")
                wait_for_version(live, version)
                assert version_of(live.score(images)) == str(version)
        finally:
            done.set()
        seen = [version for each in asking for version in each.result()]
    assert set(seen) == {"2", "3"}
    status = live.get("/v1/status").json()
    assert (status["swaps"], status["trouble"]) == (6, "")
    metrics = live.get("/metrics").text
    assert 'resnet_ops_serving_swaps_total{outcome="took over",route="champion"} 6.0' in metrics
    assert "resnet_ops_serving_alias_to_traffic_seconds{" in metrics
    assert metrics.count("resnet_ops_serving_version{") == 1


@pytest.mark.slow
def test_ten_thousand_requests_while_the_alias_moves_twenty_times_all_have_the_answer_of_who_is_named() -> (
    None
):
    versions = {
        number: other_version(ShiftedModel(number), number, format(number, "x")[-1])
        for number in range(1, 22)
    }
    alias, asked, lock = FakeAlias(versions[1], "champion"), Counter[str](), Lock()
    body = json.dumps({"images": image(3).tolist()})

    def ask(requests: int) -> None:
        client = HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(requests):
            client.request("POST", "/v1/score", body, {"Content-Type": "application/json"})
            answer = client.getresponse()
            said = json.loads(answer.read())
            assert answer.status == 200, said
            expected = ShiftedModel(int(said["version"])).predict(image(3)).predicted[0]
            assert said["predictions"][0]["class"] == str(expected)
            with lock:
                asked[said["version"]] += 1
        client.close()

    def enough(requests: int) -> bool:
        return sum(asked.values()) > requests

    with (
        serving(versions[1], alias=alias.as_alias, poll_seconds=SOON) as server,
        ThreadPoolExecutor(4) as clients,
    ):
        asking = [clients.submit(ask, 2500) for _ in range(4)]
        for number in range(2, 22):
            until(partial(enough, 475 * (number - 1)))
            alias.at = versions[number]
            wait_for_version(server, number)
        for each in asking:
            each.result()
        assert server.get("/v1/status").json()["swaps"] == 20
    assert sum(asked.values()) == 10_000
    assert len(asked) == 21


class ShiftedModel(FakeModel):
    """Whose class is the brightness and its number, modulo ten."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def predict(self, images: np.ndarray, batch_size: int = 256) -> Predictions:
        return super().predict(images + np.uint8(self._number), batch_size)


def test_each_version_answers_with_its_own_network(scene: Scene, live: Live) -> None:
    images = scene.served.unseen[:4]
    for version in (2, 3):
        promote(NAME, version, "champion")
        wait_for_version(live, version)
        said = live.score(images).json()["predictions"]
        expected = champion().model.predict(images).probabilities
        found = np.array([list(each["probabilities"].values()) for each in said])
        assert found == pytest.approx(expected, abs=1e-5)


def test_what_is_sent_as_a_file_gets_the_pipelines_answer(scene: Scene, live: Live) -> None:
    images = scene.served.unseen[:20]
    expected = scene.served.scorer.model.predict(images)
    for row, pixels in enumerate(images):
        content = BytesIO()
        Image.fromarray(pixels[:, :, 0]).save(content, "PNG")
        (said,) = live.post(data=content.getvalue(), headers={"Content-Type": "image/png"}).json()[
            "predictions"
        ]
        assert said["class"] == scene.served.scorer.model.classes[expected.predicted[row]]
        assert list(said["probabilities"].values()) == pytest.approx(expected.probabilities[row], abs=1e-5)


def set_alias_past_the_gate(scene: Scene, version: int) -> None:
    """As a second server without the gate would."""
    with sqlite3.connect(scene.folder / "var" / "mlflow.db") as database:
        database.execute(
            "UPDATE registered_model_aliases SET version = ? WHERE alias = 'champion'", (version,)
        )
    database.close()


def change_files(version: int) -> None:
    location = connect().get_model_version_download_uri(NAME, str(version))
    path = Path(location.removeprefix("file://")) / "artifacts" / "weights.safetensors"
    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def publish_another(scene: Scene, low: float) -> int:
    return publish_model(connect(), make_model(scene.folder / "models/another", 7), low=low).version


def register_unsigned(scene: Scene) -> int:
    client = connect()
    source = client.get_model_version(NAME, "1").source or ""
    return int(client.create_model_version(NAME, source).version)


@pytest.mark.parametrize("kind", ["unproven", "changed", "unsigned", "retired", "broken"])
def test_what_must_not_answer_leaves_the_old_version_answering_and_is_told(
    scene: Scene, live: Live, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    version, words = 1, ""
    if kind == "unproven":
        version, words = publish_another(scene, low=0.5), "may not answer for @champion"
    elif kind == "changed":
        version, words = publish_another(scene, low=0.97), "changed after"
        change_files(version)
    elif kind == "unsigned":
        version, words = register_unsigned(scene), "no evidence"
    elif kind == "retired":
        retire(NAME, 1, "a test", open_key("pipeline"))
        words = "retired"
    else:
        live.scoring.swap._prepare = fail
        words = "RuntimeError: no such kernel"
    set_alias_past_the_gate(scene, version)
    wait_for_trouble(live, words)
    assert version_of(live.score(scene.served.unseen[:1])) == "3"
    ready = live.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["version"] == "3"
    assert words in ready.json()["trouble"]
    assert 'resnet_ops_serving_newest_refused{route="champion"} 1.0' in live.get("/metrics").text
    assert any(
        each.levelname == "ERROR" and words in each.fields["trouble"]
        for each in caplog.records
        if hasattr(each, "fields") and "trouble" in each.fields
    )
    set_alias_past_the_gate(scene, 3)
    until(lambda: not live.scoring.swap.trouble)
    assert 'resnet_ops_serving_newest_refused{route="champion"} 0.0' in live.get("/metrics").text


def fail(version: Version) -> None:
    raise RuntimeError("no such kernel")


def test_without_the_registry_it_goes_on_and_says_so(scene: Scene, live: Live) -> None:
    database = scene.folder / "var" / "mlflow.db"
    away = database.rename(database.with_suffix(".away"))
    database.mkdir()  # or a new one would be made
    until(lambda: bool(live.scoring.swap.trouble))
    assert version_of(live.score(scene.served.unseen[:1])) == "3"
    assert live.get("/readyz").status_code == 200
    assert "resnet_ops_serving_registry_answers 0.0" in live.get("/metrics").text
    database.rmdir()
    away.rename(database)
    until(lambda: not live.scoring.swap.trouble)
    assert "resnet_ops_serving_registry_answers 1.0" in live.get("/metrics").text


def test_an_alias_that_is_taken_off_leaves_its_version_answering(scene: Scene, live: Live) -> None:
    connect().delete_registered_model_alias(NAME, "champion")
    wait_for_trouble(live, "champion")
    assert version_of(live.score(scene.served.unseen[:1])) == "3"


@pytest.mark.parametrize(
    "uri", [f"models:/{NAME}/3", "runs:/abc/model", "models/served", NAME, "models:/@champion"]
)
def test_only_an_alias_is_served_behind_the_gate(scene: Scene, uri: str) -> None:
    with pytest.raises(ConfigError, match="names no alias"):
        named_alias(uri, ungated=False, threads=1)


def test_an_alias_that_no_policy_guards_proves_nothing(scene: Scene) -> None:
    promote(NAME, 1, "canary")
    alias = Alias(NAME, "canary", ungated=False, threads=1)
    with pytest.raises(GateDenied, match="no policy guards @canary"):
        alias.load(alias.place())


def test_a_version_that_was_replaced_under_its_number_is_not_taken_for_it(scene: Scene) -> None:
    with pytest.raises(EvidenceError, match="was replaced"):
        CHAMPION.load(replace(CHAMPION.place(), created=1))


def test_ungated_is_in_every_answer(scene: Scene, registered: Path) -> None:
    run_id = connect().get_model_version(NAME, "1").run_id
    assert run_id
    promote(NAME, 1, "canary")
    canary = named_alias(f"models:/{NAME}@canary", ungated=True, threads=1)
    assert canary is not None
    versions = [fixed_version(f"models:/{NAME}/1", 1), fixed_version(str(registered / "models/served"), 1)]
    for version in (canary.load(canary.place()), *versions):
        with serving(version) as live:
            answer = live.score(scene.served.unseen[:1])
            assert answer.json()["gate"] == UNGATED
            mlflow = live.post("/invocations", json={"inputs": scene.served.unseen[:1].tolist()})
            assert mlflow.headers["X-Model-Gate"] == UNGATED


def test_what_is_no_model_is_said(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="neither"):
        fixed_version("nowhere", 1)
    with pytest.raises(ConfigError, match="abc"):
        fixed_version("runs:/abc/model", 1)


def test_answers_come_into_the_log_as_the_monitor_judges_them(scene: Scene) -> None:
    url = f"sqlite:///{scene.folder}/var/inference.db"
    version = champion()
    version.open_log(url)
    images = scene.served.unseen[:120]
    with serving(version) as live:
        for row, pixels in enumerate(images):
            answer = live.score(
                pixels[None], "/v1/score?source=line%201", headers={"X-Request-Id": f"r{row}"}
            )
            assert answer.status_code == 200
        assert "resnet_ops_inference_log_recorded_total" in live.get("/metrics").text
        assert live.get("/v1/status").json()["log"]["recorded"] == 120
    log = InferenceLog(url)
    rows = log.read(NAME)
    log.close()
    assert sorted(rows["request_id"]) == sorted(f"r{row}" for row in range(120))
    assert set(rows["source"]) == {"line 1"}
    expected = scene.served.scorer.model.predict(images)
    by_id = rows.set_index("request_id").loc[[f"r{row}" for row in range(120)]]
    assert by_id["predicted"].tolist() == [
        scene.served.scorer.model.classes[each] for each in expected.predicted
    ]
    assert (rows["latency_ms"] > 0).all()
    done = scene.rounds().once(rows["time"].max().to_pydatetime() + timedelta(hours=2))
    assert done is not None
    assert [verdict.status for verdict in done.verdicts if verdict.rows] == ["ok"] * len(
        [v for v in done.verdicts if v.rows]
    )
    assert sum(verdict.rows for verdict in done.verdicts) == 120


def test_without_the_logs_database_no_request_fails(scene: Scene) -> None:
    (scene.folder / "log.db").mkdir()  # which no database can be opened at
    version = champion()
    version.open_log(f"sqlite:///{scene.folder}/log.db")
    with serving(version) as live:
        for _ in range(20):
            assert live.score(scene.served.unseen[:2]).status_code == 200
        assert live.get("/v1/status").json()["log"]["recorded"] == 40
    (scene.folder / "log.db").rmdir()
    again = champion()
    again.open_log(f"sqlite:///{scene.folder}/log.db")
    again.close()
    log = InferenceLog(f"sqlite:///{scene.folder}/log.db")
    assert len(log.read(NAME)) == 40
    log.close()
