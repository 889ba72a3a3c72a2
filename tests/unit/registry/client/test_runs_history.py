"""The run in MLflow that belongs to a training: one curve, one end, whatever happened in between."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from resnet_ops.training.epoch import Epoch
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.cards.model_card import CardTexts
from resnet_ops_registry.client import runs
from resnet_ops_registry.client.publish import Published, publish
from resnet_ops_registry.client.tracking import LiveRun

pytestmark = pytest.mark.slow  # each publishes or trains: left to `make test`

EXPERIMENT = "digits"
EPOCHS = 4
Curve = list[tuple[int, float]]


def epoch(number: int) -> Epoch:
    return Epoch(
        epoch=number,
        learning_rate=0.1,
        train_loss=1 / number,
        train_score=0.5,
        validation_loss=2 / number,
        validation_score=0.25 * number,
        images_per_second=1000.0,
    )


HISTORY = [
    {"epoch": float(number), "train_loss": 1 / number, "validation_score": 0.25 * number}
    for number in range(1, EPOCHS + 1)
]


@pytest.fixture
def publish_curve(
    client: MlflowClient, model_folder: Path, make_evidence: Callable[..., Evidence]
) -> Callable[[], Published]:
    """Publish the tiny model with a history of four epochs, as `read_history` gives it."""
    evidence = make_evidence()

    def run() -> Published:
        return publish(
            client,
            registered_model="digits-classifier",
            experiment=EXPERIMENT,
            member="tiny",
            model_folder=model_folder,
            evidence=evidence,
            history=HISTORY,
            params={},
            artifacts={},
            card=CardTexts(intended_use="", limits=""),
        )

    return run


def train(digest: str, *numbers: int) -> None:
    """What a training says to its live run."""
    with LiveRun(EXPERIMENT, "tiny") as live:
        for number in numbers:
            live.log_epoch(epoch(number))
        live.finish(digest)


def curve(client: MlflowClient, run_id: str, metric: str) -> Curve:
    return sorted((point.step, point.value) for point in client.get_metric_history(run_id, metric))


def all_runs(client: MlflowClient) -> dict[str, str]:
    """Status of each run of the experiment, by id."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    return {run.info.run_id: run.info.status for run in client.search_runs([experiment.experiment_id])}


FULL = [(number, 1 / number) for number in range(1, EPOCHS + 1)]


@pytest.mark.parametrize("seen", [(1, 2, 3, 4), (1, 2), (2, 4), ()])
def test_a_live_curve_is_completed_without_doubled_points(
    seen: tuple[int, ...],
    client: MlflowClient,
    publish_curve: Callable[[], Published],
    make_evidence: Callable[..., Evidence],
) -> None:
    train(make_evidence().weights_digest, *seen)
    published = publish_curve()
    assert curve(client, published.run_id, "train_loss") == FULL
    assert list(all_runs(client)) == [published.run_id]


def test_without_a_live_run_the_whole_curve_is_published(
    client: MlflowClient, publish_curve: Callable[[], Published]
) -> None:
    published = publish_curve()
    assert curve(client, published.run_id, "train_loss") == FULL
    assert "epoch" not in client.get_run(published.run_id).data.metrics


def test_publishing_again_adds_no_point(
    client: MlflowClient, publish_curve: Callable[[], Published], make_evidence: Callable[..., Evidence]
) -> None:
    train(make_evidence().weights_digest, 1, 2, 3, 4)
    first = publish_curve()
    client.delete_tag(first.run_id, "resnet_ops.completed")
    assert publish_curve().run_id == first.run_id
    assert curve(client, first.run_id, "train_loss") == FULL


def test_a_second_training_of_the_same_weights_leaves_no_run_running(
    client: MlflowClient, publish_curve: Callable[[], Published], make_evidence: Callable[..., Evidence]
) -> None:
    digest = make_evidence().weights_digest
    train(digest, 1, 2, 3, 4)
    publish_curve()
    train(digest, 1, 2, 3, 4)
    publish_curve()
    assert list(all_runs(client).values()) == ["FINISHED", "FINISHED"]


def running(client: MlflowClient, process: str, **tags: str) -> str:
    """A run that is RUNNING, started by the process that the tag names."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(EXPERIMENT)
    return str(client.create_run(experiment_id, tags={runs.PROCESS_TAG: process, **tags}).info.run_id)


def dead_process() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_only_runs_of_ended_processes_of_this_host_are_closed(
    client: MlflowClient, make_evidence: Callable[..., Evidence]
) -> None:
    here, dead = socket.gethostname(), dead_process()
    expected = {
        running(client, f"{here} {dead} 1"): "KILLED",
        running(client, f"{here} {dead} 1", **{"resnet_ops.weights_digest": "f" * 64}): "FINISHED",
        running(client, f"{here} {os.getpid()} 1"): "KILLED",  # the number was used again
        running(client, runs.this_process()): "RUNNING",
        running(client, f"elsewhere {dead} 1"): "RUNNING",
        running(client, ""): "RUNNING",
    }
    train(make_evidence().weights_digest, 1)
    assert {run: status for run, status in all_runs(client).items() if run in expected} == expected


@pytest.mark.parametrize(
    "text",
    [
        "{host}",
        "{host} x",
        "{host} 1 x",
        "{host} 1 nan",
        "{host} -1 1",
        "{host} 99999999999999999999 1",
        "{host} {dead} 1e999",
        "{host} ٣ 1",
        "{host} {dead} " + "9" * 4_000,
        " ",
        "{host}\n{dead} 1",
    ],
)
def test_a_tag_that_somebody_else_wrote_stops_neither_training_nor_publishing(
    client: MlflowClient,
    publish_curve: Callable[[], Published],
    make_evidence: Callable[..., Evidence],
    text: str,
) -> None:
    odd = running(client, text.format(host=socket.gethostname(), dead=dead_process()))
    train(make_evidence().weights_digest, 1)
    publish_curve()
    assert all_runs(client)[odd] == "RUNNING"


def test_publishing_closes_abandoned_runs_too(
    client: MlflowClient, publish_curve: Callable[[], Published]
) -> None:
    abandoned = running(client, f"{socket.gethostname()} {dead_process()} 1")
    publish_curve()
    assert all_runs(client)[abandoned] == "KILLED"
