"""Windows in a real MLflow on SQLite: once, whole, and where the link says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow.entities import Run, RunData, RunInfo, RunTag

from resnet_ops.errors import DataError, ServiceError
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.report.publish import _step, publish_window
from resnet_ops_monitoring.report.report import PageContext, write_window
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_registry.common.settings import prepare_environment

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from tests.unit.monitoring.conftest import Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
]  # mlflow's, under SQLAlchemy 2.1


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, mlflow_tables: bytes) -> MlflowClient:
    prepare_environment()
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    path.write_bytes(mlflow_tables)
    uri = f"sqlite:///{path}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _write(
    served: Served, params: DriftParams, folder: Path, name: str, dirty: bool = False, rows: int = 200
) -> Path:
    images = served.unseen[:rows]
    frame = served.score(degrade(images, 0) if dirty else images, window=name)
    verdict = judge(frame, served.reference, params, window=name)
    write_window(folder / name, verdict, frame, served.reference, params, PageContext(role="champion"))
    return folder / name


def _state(client: MlflowClient, link: str) -> tuple[object, ...]:
    experiment, run_id = link.split("/")[2], link.split("/")[4]
    runs = client.search_runs([experiment])
    run = client.get_run(run_id)
    histories = {
        key: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run_id, key)]
        for key in run.data.metrics
    }
    files = {
        (item.path, item.file_size)
        for window in client.list_artifacts(run_id, "windows")
        for item in client.list_artifacts(run_id, window.path)
    }
    return len(runs), histories, files, run.data.tags


def test_windows_are_published_once_and_where_the_link_says(
    served: Served, params: DriftParams, client: MlflowClient, project: Path
) -> None:
    calm = _write(served, params, project, "calm")
    dirty = _write(served, params, project, "dirty", dirty=True)
    link = publish_window(client, calm)
    publish_window(client, dirty)
    before = _state(client, link)
    assert publish_window(client, calm) == link
    assert "/artifacts/windows/dirty/review.html?" in publish_window(client, dirty)
    assert _state(client, link) == before
    runs, histories, files, tags = before
    assert runs == 1
    assert isinstance(histories, dict)
    assert [(step, value) for step, value, _ in histories["alarm"]] == [(0, 0.0), (1, 1.0)]
    assert {"drift.embeddings", "drift.classes", "drift.softmax", "estimated_accuracy"} <= set(histories)
    assert isinstance(files, set)
    assert len(files) == 6
    assert isinstance(tags, dict)
    assert tags["resnet_ops.last_verdict"] == "dirty: alarm"
    run_id, path = link.split("/")[4], link.split("/artifacts/")[1]
    assert (
        Path(client.download_artifacts(run_id, path, str(project))).read_text()
        == (calm / "review.html").read_text()
    )
    experiment = client.get_experiment(link.split("/")[2])
    assert experiment.name == "digits-classifier/monitoring"
    assert client.get_run(run_id).info.status == "FINISHED"


def test_a_publication_that_was_cut_off_is_completed_under_its_number(
    served: Served, params: DriftParams, client: MlflowClient, project: Path
) -> None:
    folder = _write(served, params, project, "cut-off", rows=150)
    link = publish_window(client, folder)
    whole = _state(client, link)
    run_id = link.split("/")[4]
    tag = "resnet_ops.window.cut-off"
    step = client.get_run(run_id).data.tags[tag].split(":")[0]
    client.set_tag(run_id, tag, f"{step}:unfinished")  # as a kill after the artifacts leaves it
    assert publish_window(client, folder) == link
    assert _state(client, link) == whole


def test_a_run_that_was_deleted_comes_back_with_all_its_windows(
    served: Served, params: DriftParams, client: MlflowClient, project: Path
) -> None:
    folder = _write(served, params, project, "deleted", rows=60)
    link = publish_window(client, folder)
    whole = _state(client, link)
    client.delete_run(link.split("/")[4])
    assert publish_window(client, folder) == link
    assert _state(client, link) == whole


@pytest.mark.parametrize("text", ["mine", "", "x:0", "-1:0", "٣:0", f"{'9' * 5000}:0", "1e9:0", "1:\n0"])
def test_a_tag_that_somebody_else_wrote_keeps_no_window_from_its_page(text: str) -> None:
    tags = {"resnet_ops.window.a": "7:content", "resnet_ops.window.b": text, "resnet_ops.window.c": text}
    run = Run(
        RunInfo("r", "1", "me", "FINISHED", 0, 1, "active"),
        RunData(tags=[RunTag(*tag) for tag in tags.items()]),
    )
    assert _step(run, "resnet_ops.window.a") == (7, "content")
    assert _step(run, "resnet_ops.window.b") == (8, "")


def test_labels_that_come_later_update_the_same_window(
    served: Served, params: DriftParams, client: MlflowClient, project: Path
) -> None:
    folder = _write(served, params, project, "late", rows=120)
    link = publish_window(client, folder)
    frame = served.score(served.unseen[:120], window="late", labels=served.truth[:120])
    verdict = judge(frame, served.reference, params, window="late")
    write_window(folder, verdict, frame, served.reference, params, PageContext(role="champion"))
    assert publish_window(client, folder) == link
    run = client.get_run(link.split("/")[4])
    assert verdict.real_accuracy is not None
    assert run.data.metrics["real_accuracy"] == verdict.real_accuracy.value
    steps = {
        metric.step for metric in client.get_metric_history(run.info.run_id, "rows") if metric.value == 120
    }
    assert len(steps) == 1


def test_a_window_name_that_is_a_path_is_refused(
    served: Served, params: DriftParams, client: MlflowClient, project: Path
) -> None:
    folder = _write(served, params, project, "fine", rows=60)
    text = (folder / "verdict.json").read_text()
    (folder / "verdict.json").write_text(text.replace('"window": "fine"', '"window": "../fine"'))
    with pytest.raises(DataError, match=r"'\.\./fine' must be named"):
        publish_window(client, folder)


def test_a_server_that_is_down_is_named_with_what_to_do(
    served: Served, params: DriftParams, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    folder = _write(served, params, project, "down", rows=60)
    down = MlflowClient(tracking_uri="http://me:hush@127.0.0.1:1", registry_uri="http://127.0.0.1:1")
    with pytest.raises(ServiceError, match=r"did not take the window.*MLFLOW_TRACKING_URI") as caught:
        publish_window(down, folder)
    assert "hush" not in str(caught.value)
