"""A training that is watched on a real server, which goes away and comes back while it runs."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from resnet_ops.training.epoch import Epoch
from resnet_ops.training.loop import fit
from resnet_ops_registry.client import sender
from resnet_ops_registry.client.tracking import LIVE_METRICS, LiveRun
from resnet_ops_registry.common.connection import connect
from tests.attacks.servers import Config, start
from tests.serving import free_port
from tests.unit.core.makers import digits, make_plan, make_recipe, take

EPOCHS = 12


class Server:
    """An MLflow server that can be stopped and started again, at the same address on the same database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.running = ExitStack()

    def start(self) -> None:
        database = f"sqlite:///{self.folder}/mlflow.db"
        self.running.enter_context(start(Config(False, "sqlite"), self.folder, database, self.port))

    def stop(self) -> None:
        self.running.close()


@pytest.fixture
def server(tmp_path: Path, mlflow_tables: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(mlflow_tables)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", found.uri)
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    monkeypatch.setattr(sender, "RETRY_SECONDS", 0.2)
    yield found
    found.stop()


def train(server: Server, stop: int | None = None, again: int | None = None) -> list[Epoch]:
    """Train, watched; the server is stopped after one epoch and started again after another."""
    seen: list[Epoch] = []

    def meddle(epoch: Epoch) -> None:
        seen.append(epoch)
        if epoch.epoch == stop:
            server.stop()
        if epoch.epoch == again:
            server.start()

    data = take(digits(), train=96, validation=40)
    with LiveRun("digits", "tiny") as live:
        fit(make_plan(make_recipe(epochs=EPOCHS)), data, [live.log_epoch, meddle])
        live.finish("a" * 64)
    return seen


def only_run(client: MlflowClient) -> Run:
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def curve(client: MlflowClient, run: Run, name: str) -> list[tuple[int, float]]:
    """Its points by time."""
    points = client.get_metric_history(run.info.run_id, name)
    return [
        (point.step, point.value) for point in sorted(points, key=lambda point: (point.timestamp, point.step))
    ]


def test_a_server_that_comes_back_gets_what_it_missed_in_order(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.start()
    seen = train(server, stop=3, again=7)
    client = connect()
    run = only_run(client)
    assert run.info.status == "FINISHED"
    for name in LIVE_METRICS:
        expected = [(epoch.epoch, getattr(epoch, name)) for epoch in seen]
        assert curve(client, run, name) == expected
    said = capsys.readouterr().out
    assert said.count("without a live view") == 1
    assert said.count("MLflow answers again") == 1

    for name in ("process_memory_megabytes", "system_memory_usage_megabytes", "cpu_utilization_percentage"):
        points = curve(client, run, f"system/{name}")
        assert len(points) > 2, "while the server was away, too"
        assert [step for step, _ in points] == list(range(len(points)))
    assert all(value > 10 for _, value in curve(client, run, "system/process_memory_megabytes"))


def test_a_server_that_stays_away_stops_nothing(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.start()
    assert len(train(server, stop=3)) == EPOCHS
    said = capsys.readouterr().out
    assert said.count("MLflow did not answer to the end") == 1
    server.start()
    client = connect()
    run = only_run(client)
    assert run.info.status == "RUNNING", "until the process has ended; registering closes it"
    sent = [step for step, _ in curve(client, run, "train_loss")]
    assert sent in ([1, 2, 3], [1, 2], [1], []), "the last ones may have been on their way"


def test_a_server_that_comes_late_gets_the_whole_curve(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    train(server, again=5)
    client = connect()
    run = only_run(client)
    assert run.info.status == "FINISHED"
    assert [step for step, _ in curve(client, run, "train_loss")] == list(range(1, EPOCHS + 1))
    assert set(run.data.metrics) == set(LIVE_METRICS)
