"""A person answers a verdict: from the command to the gate, the ledger, MLflow's pages and the next judgement."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from mlflow.exceptions import MlflowException
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.errors import ConfigError, DataError, EvidenceError, ServiceError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops.files import file_digest
from resnet_ops.tasks.watching.boxes import COUNTED
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.report.publish import monitoring_run
from resnet_ops_monitoring.report.stored_reference import (
    check_decides_alike,
    fetch_reference,
    store_reference,
)
from resnet_ops_registry import promote
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.attestations.predicates import Baseline, spoken
from resnet_ops_registry.attestations.trust import revoke_key, trust_key
from resnet_ops_registry.client.attesting import attest
from resnet_ops_registry.common.connection import connect
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.gate.reviews import labelled_reference
from tests.unit.monitoring.conftest import PARAMS, make_predictions
from tests.unit.registry.conftest import NAME, POLICY, make_model, measured_at, publish_model
from tests.unit.registry.people import entries

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in.*sqlite3:pytest.PytestUnraisableExceptionWarning"
    ),
]
CLASSES = tuple("0123456789")
SHIFTED = 1.5


class Scene:
    """v1, then v2 became champion; v2's window `shifted` raised an alarm; kim reviews, the pipeline publishes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client: MlflowClient = connect()
        for seed in (0, 1):
            self.published = publish_model(self.client, make_model(folder / "models" / f"seed{seed}", seed))
        with open_database() as connection:
            apply_policy(connection, POLICY, "p.yaml")
            self.kim = trust_key(connection, open_key("kim").public, "kim", "reviewer").id
        promote(NAME, 1, "champion")
        promote(NAME, 2, "champion")
        digest = self.client.get_model_version(NAME, "2").tags["resnet_ops.weights_digest"]
        self.identity = ModelIdentity(NAME, "2", digest)
        rng = np.random.default_rng(0)
        mine = {"model": NAME, "version": "2", "digest": digest}
        self.held_out = make_predictions(rng, 400).assign(**mine)
        self.reference = build_reference(self.held_out, self.identity, CLASSES, rows=400, seed=0)
        self.reference.save(folder / "data/reference/reference.parquet")
        log = InferenceLog.open()
        for name in ("shifted", "again"):
            rows = make_predictions(rng, 200, shift=SHIFTED).assign(**mine, window=name, label=None)
            log.append(rows.assign(request_id=[f"{name}-{i}" for i in range(len(rows))]))
        log.close()
        drift = {
            **vars(PARAMS),
            "alpha": 0.01,
            "permutations": 999,
        }  # a window like the accepted one is to be quiet, not by luck
        (folder / "params.yaml").write_text(yaml.safe_dump({"monitor": {"drift": drift}}))

    def run(self, *words: str, status: int = 0) -> str:
        result = CliRunner().invoke(build_app(), words)
        assert result.exit_code == status, result.output + result.stderr
        return result.output + result.stderr

    def judge(self, window: str, *more: str, status: int = 1) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            self.run("drift", "judge", "--window", window, "--json", *more, status=status)
        )
        return found

    def measured_at(self, point: OperatingPoint) -> None:
        """v2 was measured again, and decides here by now."""
        measured_at(self.client, int(self.identity.version), point)

    def artifact(self, path: str) -> Path:
        experiment = self.client.get_experiment_by_name(f"{NAME}/monitoring")
        assert experiment is not None
        (run,) = self.client.search_runs([experiment.experiment_id])
        return Path(str(run.info.artifact_uri).removeprefix("file://")) / path


@pytest.fixture
def scene(tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Scene:
    for name in (
        "MLFLOW_REGISTRY_URI",
        "RESNET_OPS_KEYS",
        "RESNET_OPS_INFERENCE_LOG",
        "RESNET_OPS_EVIDENTLY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/var/mlflow.db")
    # Evidently draws for seconds and is looked at in a test of its own
    monkeypatch.setattr("resnet_ops_monitoring.report.report.evidently_snapshot", lambda *_: None)
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "mlflow.db").write_bytes(empty_database)
    return Scene(tmp_path)


def test_from_alarm_to_rollback_in_one_command_and_the_whole_story_in_the_ledger(scene: Scene) -> None:
    assert scene.judge("shifted")["status"] == "alarm"
    scene.run("drift", "ack", "shifted", "--key", "kim")
    scene.run("drift", "comment", "shifted", "the lens is <dirty>", "--key", "kim")
    said = scene.run("drift", "rollback", "shifted", "@Champion", "--why", "reads ones", "--key", "kim")
    assert f"{NAME} v1 is @champion again" in said
    assert str(scene.client.get_model_version_by_alias(NAME, "champion").version) == "1"
    *_, seen, commented, reason, back = entries()
    assert [each.event.detail["said"]["action"] for each in (seen, commented, reason)] == [
        "acknowledge",
        "comment",
        "rollback",
    ]
    assert (back.event.action, back.event.outcome, back.event.version) == ("rollback", "allowed", 1)
    assert reason.event.detail["said"]["comment"] == "@Champion: reads ones"
    assert reason.event.detail["said"]["verdict"] == "alarm"
    for page in (Path("reports/drift/shifted/review.html"), scene.artifact("windows/shifted/review.html")):
        assert "kim commented (alarm): the lens is &lt;dirty&gt;" in page.read_text()
    said = scene.run("drift", "rollback", "shifted", "champion", "--why", "x", "--key", "kim", status=1)
    assert "nothing to roll back" in said
    assert len(entries()) == back.seq, "a repeat goes back no further, and says nothing"


def test_an_accepted_window_is_what_later_windows_are_judged_against_until_its_key_is_revoked(
    scene: Scene,
) -> None:
    store_reference(scene.client, scene.reference, open_key())
    scene.judge("shifted")
    said = scene.run("drift", "accept", "shifted", "--why", "new lamps", "--key", "kim")
    assert "v2: 200 rows, accepted by kim" in said
    accepted = fetch_reference(scene.client, scene.identity)
    assert accepted.accepted is not None
    assert (accepted.accepted.by, accepted.accepted.why) == ("kim", "new lamps")
    last = entries()[-1].event.detail["said"]
    assert last["action"] == "accept-reference"
    assert scene.artifact(f"references/{last['reference']}/reference.parquet").is_file()
    judged = scene.judge("again", "--stored", status=0)
    assert judged["status"] == "ok"
    assert "accepted by kim" in str(judged["compared_with"])
    assert scene.judge("again")["status"] == "alarm", "without --stored the file is what counts"
    with open_database() as connection:
        revoke_key(connection, scene.kim)
    assert fetch_reference(scene.client, scene.identity).accepted is None
    assert scene.judge("again", "--stored")["status"] == "alarm"


def test_a_pipelines_key_accepts_nothing_and_what_was_stored_does_not_count(scene: Scene) -> None:
    store_reference(scene.client, scene.reference, open_key())
    scene.judge("shifted")
    said = scene.run("drift", "accept", "shifted", "--why", "x", "--key", "pipeline", status=1)
    assert "pipeline is pipeline" in said
    assert fetch_reference(scene.client, scene.identity).accepted is None


def test_a_window_whose_rows_changed_since_is_not_accepted(scene: Scene) -> None:
    store_reference(scene.client, scene.reference, open_key())
    scene.judge("shifted")
    rows = make_predictions(np.random.default_rng(5), 1).assign(request_id="late", window="shifted")
    InferenceLog.open().append(rows.assign(model=NAME, version="2", digest=scene.identity.digest))
    said = scene.run("drift", "accept", "shifted", "--why", "x", "--key", "kim", status=1)
    assert "sqlite:///var/inference.db holds 201" in said


@pytest.mark.parametrize("tagged", [True, False])
def test_a_changed_reference_is_refused(scene: Scene, tagged: bool) -> None:
    digest = store_reference(scene.client, scene.reference, open_key())
    assert store_reference(scene.client, scene.reference, open_key()) == digest
    found = fetch_reference(scene.client, scene.identity)
    assert found.rows.equals(fetch_reference(scene.client, scene.identity).rows)
    assert len(found.rows) == len(scene.reference.rows)
    path = scene.artifact(f"references/{digest}/reference.parquet")
    if tagged:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
        problem = "was changed after it was stored.*Make it again: resnet-ops drift reference"
    else:
        path.unlink()
        problem = "is gone from MLflow.*Make it again: resnet-ops drift reference"
    with pytest.raises(EvidenceError, match=problem):
        fetch_reference(scene.client, scene.identity)
    assert store_reference(scene.client, scene.reference, open_key()) == digest
    assert fetch_reference(scene.client, scene.identity).rows.equals(found.rows)


def test_a_changed_accepted_reference_is_refused_and_the_labelled_one_does_not_stand_in(scene: Scene) -> None:
    store_reference(scene.client, scene.reference, open_key())
    scene.judge("shifted")
    scene.run("drift", "accept", "shifted", "--why", "new lamps", "--key", "kim")
    digest = entries()[-1].event.detail["said"]["reference"]
    scene.reference.save(scene.artifact(f"references/{digest}/reference.parquet"))
    with pytest.raises(EvidenceError, match=r"was changed after it was stored"):
        fetch_reference(scene.client, scene.identity)


def test_a_reference_of_another_operating_point_judges_nothing_until_it_is_made_again(scene: Scene) -> None:
    store_reference(scene.client, scene.reference, open_key())
    scene.judge("shifted")
    scene.run("drift", "accept", "shifted", "--why", "new lamps", "--key", "kim")
    point = OperatingPoint(("1",), 0.25)
    scene.measured_at(point)
    with pytest.raises(
        EvidenceError, match=r"0\.25 for 1 .* no operating point.*drift reference.*drift accept"
    ):
        fetch_reference(scene.client, scene.identity)
    assert "0.25 for 1" in scene.run("drift", "accept", "shifted", "--why", "x", "--key", "kim", status=1)
    again = build_reference(scene.held_out, scene.identity, CLASSES, rows=400, seed=0, operating=point)
    store_reference(scene.client, again, open_key())
    with pytest.raises(EvidenceError, match="drift accept"):
        fetch_reference(scene.client, scene.identity)
    scene.run("drift", "accept", "shifted", "--why", "new lamps", "--key", "kim")
    assert fetch_reference(scene.client, scene.identity).schema.operating == point


def test_a_reference_whose_boxes_counted_from_another_score_judges_nothing(scene: Scene) -> None:
    def counted(score: float) -> Reference:
        return replace(scene.reference, schema=replace(scene.reference.schema, score_threshold=score))

    check_decides_alike(scene.client, counted(COUNTED))  # its evidence says nothing of a score
    with pytest.raises(EvidenceError, match=r"score of 0\.5 .* score of 0\.4\..*drift reference"):
        check_decides_alike(scene.client, counted(0.4))


def test_a_reference_of_another_model_or_of_none_is_refused(scene: Scene) -> None:
    with pytest.raises(
        DataError,
        match=r"digits-classifier v2\. .* drift reference",
    ):
        fetch_reference(scene.client, scene.identity)
    with pytest.raises(ConfigError, match="version=9"):
        fetch_reference(scene.client, replace(scene.identity, version="9"))
    with pytest.raises(ConfigError, match="has other files"):
        fetch_reference(scene.client, replace(scene.identity, digest="e" * 64))
    with pytest.raises(ConfigError, match="vx is not a version"):
        fetch_reference(scene.client, replace(scene.identity, version="x"))


def put(scene: Scene, folder: Path, identity: ModelIdentity) -> str:
    """A reference in the version's monitoring run, as somebody with an account can put it there; gives its digest."""
    rows = make_predictions(np.random.default_rng(1), 100).assign(digest=identity.digest, model=NAME)
    build_reference(rows, identity, CLASSES, rows=100, seed=0).save(folder / "reference.parquet")
    digest = file_digest(folder / "reference.parquet")
    run = monitoring_run(scene.client, scene.identity).info.run_id
    scene.client.log_artifact(run, str(folder / "reference.parquet"), f"references/{digest}")
    scene.client.set_tag(run, "resnet_ops.reference", digest)
    return digest


def test_a_reference_that_nobody_signed_does_not_count(scene: Scene, tmp_path: Path) -> None:
    digest = put(scene, tmp_path, scene.identity)
    with pytest.raises(DataError, match="keeps no signed reference"):
        fetch_reference(scene.client, scene.identity)
    with pytest.raises(MlflowException, match="written by the gate alone"):
        scene.client.set_model_version_tag(NAME, "2", "resnet_ops.baseline_digest", digest)
    said = spoken(Baseline, reference=digest, images=100, created=datetime.now(UTC))
    with pytest.raises(EvidenceError, match="not trusted here"):
        attest(scene.client, NAME, 2, said, open_key("mallory"))
    assert labelled_reference(scene.client.get_model_version(NAME, "2")) is None


def test_a_signed_reference_counts_until_its_key_is_revoked(scene: Scene) -> None:
    digest = store_reference(scene.client, scene.reference, open_key())
    version = scene.client.get_model_version(NAME, "2")
    assert labelled_reference(version) == version.tags["resnet_ops.baseline_digest"] == digest
    said = entries()[-1].event
    assert (said.action, said.detail["said"]["reference"]) == ("baseline accepted", digest)
    seen = len(entries())
    store_reference(scene.client, scene.reference, open_key())
    assert len(entries()) == seen, "a repeat says nothing again"
    with open_database() as connection:
        revoke_key(connection, open_key().public.id)
    with pytest.raises(DataError, match="keeps no signed reference"):
        fetch_reference(scene.client, scene.identity)


def test_another_versions_reference_does_not_pass_for_this_ones(scene: Scene, tmp_path: Path) -> None:
    """Not even where a trusted key vouches for it."""
    digest = put(scene, tmp_path, ModelIdentity(NAME, "1", "e" * 64))
    said = spoken(Baseline, reference=digest, images=100, created=datetime.now(UTC))
    attest(scene.client, NAME, 2, said, open_key())
    with pytest.raises(EvidenceError, match=r"digits-classifier v1 \(other files\)"):
        fetch_reference(scene.client, scene.identity)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("ack", "../x"), "must be named by letters"),
        (("ack", "nothing"), "was not judged"),
        (("comment", "shifted", "x" * 501), "comment cannot be signed in a review"),
        (("comment", "shifted", " "), "comment needs words"),
        (("rollback", "shifted", "nobody", "--why", "x"), "no version is @nobody"),
    ],
)
def test_what_cannot_be_answered_is_said_and_not_recorded(
    scene: Scene, words: tuple[str, ...], problem: str
) -> None:
    scene.judge("shifted")
    before = len(entries())
    assert problem in scene.run("drift", *words, "--key", "kim", status=1)
    assert len(entries()) == before


def test_a_server_that_is_down_is_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    down = MlflowClient(tracking_uri="http://127.0.0.1:1", registry_uri="http://127.0.0.1:1")
    with pytest.raises(ServiceError, match="did not take the reference"):
        store_reference(down, scene.reference)
