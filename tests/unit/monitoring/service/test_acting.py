"""From an alarm to what is done: told, listed for labelling, rolled back through the gate, and in the ledger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.errors import DataError
from resnet_ops_monitoring.service.actions import labelled_accuracy, propose_retraining
from resnet_ops_monitoring.service.labelling import labelling_list
from resnet_ops_registry.common.connection import connect
from tests.serving import free_port
from tests.unit.monitoring.scene import Scene, at
from tests.unit.registry.conftest import NAME
from tests.unit.registry.receiver import receiving

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy", "ignore:unclosed database:ResourceWarning"
    ),
]


def command(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == status, result.output
    return result.output


def champion() -> str:
    return str(connect().get_model_version_by_alias(NAME, "champion").version)


def ledger() -> list[dict[str, Any]]:
    entries = json.loads(command("ledger", "show", "--model", NAME, "--json"))
    return [entry["event"] for entry in entries]


def test_from_alarm_to_rollback_in_one_command_and_the_ledger_tells_the_story(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in (0, 1):
        scene.traffic(hour, dirty=True)
    with receiving() as receiver:
        monkeypatch.setenv("RESNET_OPS_ALERT_URLS", receiver.url.replace("http://", "json://"))
        command("monitor", "run", "--until", at(2.02).isoformat(), status=1)
        (alert,) = receiver.messages
    assert alert["title"] == "digits-classifier v3: alarm"
    assert "http://127.0.0.1:5000/#/experiments/" in alert["message"]
    told = alert["message"].split("through the gate: ")[1]
    assert champion() == "3"
    words = told.replace("TEXT", "dirt").replace("NAME", "ada").split()
    said = command(*words[1:])
    assert "because of v3-20260105T090000-20260105T100000 (alarm)" in said
    assert champion() == "2"
    reviewed, rolled_back = ledger()[-2:]
    assert (reviewed["version"], reviewed["detail"]["name"]) == (3, "ada")
    assert reviewed["detail"]["said"]["window"] == "v3-20260105T090000-20260105T100000"
    assert reviewed["detail"]["said"]["verdict"] == "alarm"
    assert reviewed["detail"]["said"]["comment"] == "@champion: dirt"
    assert (rolled_back["action"], rolled_back["outcome"]) == ("rollback", "allowed")
    assert (rolled_back["version"], rolled_back["from_version"], rolled_back["target"]) == (2, 3, "@champion")
    story = command("ledger", "show", "--model", NAME)
    for part in ("review", "rollback @champion", "dirt", "(alarm)"):
        assert part in story
    command("ledger", "verify")


def test_labels_that_prove_too_many_mistakes_roll_back_once_where_the_policy_says_so(scene: Scene) -> None:
    wrong = ["0" if truth != "0" else "1" for truth in scene.served.truth[:120]]
    scene.traffic(0, labels=wrong)
    rolling = replace(
        scene.settings.actions, roll_back=replace(scene.settings.actions.roll_back, enabled=True)
    )
    assert scene.once(1.02).actions == ()
    assert champion() == "3"  # off unless the policy says so
    done = scene.once(1.02, actions=rolling)
    assert champion() == "2"
    (words,) = done.actions
    assert "instead of v3: 120 labelled answers" in words
    said, back = ledger()[-2:]
    assert said["detail"]["name"] == "monitor"
    assert "the floor is 80" in said["detail"]["said"]["comment"]
    assert (back["action"], back["outcome"], back["from_version"]) == ("rollback", "allowed", 3)


@pytest.mark.parametrize(
    ("labels", "min_labels", "floor"), [("right", 50, 0.8), ("wrong", 121, 0.8), ("wrong", 50, 0.0)]
)
def test_few_labels_or_good_ones_roll_nothing_back(
    scene: Scene, labels: str, min_labels: int, floor: float
) -> None:
    truth = scene.served.truth[:120]
    scene.traffic(0, labels=truth if labels == "right" else ["0" if each != "0" else "1" for each in truth])
    policy = replace(scene.settings.actions.roll_back, enabled=True, min_labels=min_labels, floor=floor)
    done = scene.once(1.02, actions=replace(scene.settings.actions, roll_back=policy))
    assert done.actions == ()
    assert champion() == "3"


def test_a_rollback_that_the_gate_refuses_is_told_and_not_asked_for_again(scene: Scene) -> None:
    command("retire", NAME, "1", "--why", "old", "--key", "ada")
    command("retire", NAME, "2", "--why", "old", "--key", "ada")
    scene.traffic(0, labels=["0" if each != "0" else "1" for each in scene.served.truth[:120]])
    policy = replace(scene.settings.actions.roll_back, enabled=True)
    acting = replace(scene.settings.actions, roll_back=policy)
    (words,) = scene.once(1.02, actions=acting).actions
    assert "v3 should be rolled back" in words
    assert "It was not: " in words
    count = len(ledger())
    assert scene.once(1.02, actions=acting).actions == ()
    assert len(ledger()) == count
    assert champion() == "3"


def test_labels_older_than_the_policy_looks_back_do_not_count(scene: Scene) -> None:
    scene.traffic(0, labels=scene.served.truth[:120])
    monitor = scene.rounds().monitor()
    found = labelled_accuracy(monitor, at(0))
    assert found is not None
    assert found.n == 120
    assert labelled_accuracy(monitor, at(1)) is None


def test_labels_of_images_that_were_listed_for_being_hard_roll_nothing_back(scene: Scene) -> None:
    for hour in (0, 1):
        scene.traffic(hour, dirty=True)
    proposing = replace(scene.settings.actions.propose_retraining, enabled=True, images=60)
    rolling = replace(scene.settings.actions.roll_back, enabled=True, min_labels=20, floor=0.8)
    scene.once(2.02, actions=replace(scene.settings.actions, propose_retraining=proposing))
    path = Path("var/monitor/v3-20260105T090000-20260105T100000/to_label.csv")
    table = pd.read_csv(path, dtype=str)
    wrong = ["0" if each != "0" else "1" for each in table["predicted"]]
    table = table.assign(label=wrong)
    drawn = table["why"] == "drawn at random"
    table[~drawn].to_csv("hard.csv", index=False)
    table[drawn].to_csv("drawn.csv", index=False)
    acting = replace(scene.settings.actions, roll_back=rolling)
    command("log", "label", "hard.csv")
    assert labelled_accuracy(scene.rounds().monitor(), at(0)) is None
    assert scene.once(2.02, actions=acting).actions == ()
    assert "Leave --sample out" in command("log", "label", "--sample", "drawn.csv", status=1)
    command("log", "label", "drawn.csv")
    (words,) = scene.once(2.02, actions=acting).actions
    assert "30 labelled answers" in words
    assert champion() == "2"


def test_labels_that_a_person_gave_count_where_they_are_said_to_be_a_sample(scene: Scene) -> None:
    scene.traffic(0)
    ids = [f"hour-0-{i}" for i in range(60)]
    pd.DataFrame({"request_id": ids, "label": "1"}).to_csv("mine.csv", index=False)
    monitor = scene.rounds().monitor()
    command("log", "label", "mine.csv")
    assert labelled_accuracy(monitor, at(0)) is None
    command("log", "label", "--sample", "mine.csv")
    found = labelled_accuracy(monitor, at(0))
    assert found is not None
    assert found.n == 60
    scene.log.forget(at(24))
    assert labelled_accuracy(monitor, at(0)) is None


def test_an_alarm_proposes_what_to_label_and_the_filled_list_labels(scene: Scene) -> None:
    for hour in (0, 1):
        scene.traffic(hour, dirty=True)
    proposing = replace(scene.settings.actions.propose_retraining, enabled=True, images=12)
    acting = replace(scene.settings.actions, propose_retraining=proposing)
    (words,) = scene.once(2.02, actions=acting).actions
    path = Path("var/monitor/v3-20260105T090000-20260105T100000/to_label.csv")
    assert f"{path} lists 12 images" in words
    table = pd.read_csv(path, dtype=str)
    drawn = table["why"] == "drawn at random"
    assert set(table["why"][~drawn]) == {"least confident", "farthest from what it was tested on"}
    assert drawn.sum() == 6
    table.assign(label="7").to_csv(path, index=False)
    assert "12 labels set or changed" in command("log", "label", str(path))
    assert scene.once(2.02, actions=acting).actions == ()


def test_a_list_names_images_inside_the_folder_alone_and_no_labelled_ones(
    served: Served, tmp_path: Path
) -> None:
    frame = served.score(served.unseen[:60])
    names = frame["request_id"].tolist()
    names[:3] = ["a/one.png", "../outside.png", "/etc/hostname"]
    frame["request_id"] = names
    frame["label"] = [None] * 40 + ["1"] * 20
    (tmp_path / "images/a").mkdir(parents=True)
    (tmp_path / "images/a/one.png").touch()
    (tmp_path / "outside.png").touch()
    all_drawn = np.ones(60, dtype=bool)
    found = labelling_list(frame, all_drawn, served.reference, 60, tmp_path / "images")
    assert len(found) == 40
    few = labelling_list(frame, all_drawn, served.reference, 20, None)
    assert few["why"].value_counts()["least confident"] >= 5
    paths = dict(zip(found["request_id"], found["path"], strict=True))
    assert paths.pop("a/one.png") == str(tmp_path / "images/a/one.png")
    assert set(paths.values()) == {""}
    hard = few[few["why"] == "least confident"]["confidence"]
    assert hard.max() <= few[few["why"] != "drawn at random"]["confidence"].median()
    assert labelling_list(frame[:0], all_drawn[:0], served.reference, 60, None).empty


def test_retraining_is_queued_with_dvc_under_the_windows_name(scene: Scene) -> None:
    (scene.folder / "dvc.yaml").write_text("stages: {train: {cmd: 'true'}}\n")
    (scene.folder / ".gitignore").write_text("/var\n/data\n")
    identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
    identity |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org"}
    for each in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"], ["git", "add", "-A"]):
        subprocess.run(each, check=True, env={**os.environ, **identity})
    subprocess.run(["git", "commit", "-qm", "a project"], check=True, env={**os.environ, **identity})
    scene.traffic(0)
    scene.once(1.02)
    window = "v3-20260105T080000-20260105T090000"
    said = propose_retraining(scene.rounds().monitor(), window, queue=True)
    assert "retrain-v3-20260105T080000-20260105T090000 is queued" in said
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "queue", "status"], capture_output=True, text=True, check=True
    )
    assert "Queued" in listed.stdout
    with pytest.raises(DataError, match="window of digits-classifier v3"):
        propose_retraining(scene.rounds().monitor(), "nothing", queue=False)


def test_a_queue_that_fails_is_said_and_the_list_is_there(scene: Scene) -> None:
    scene.traffic(0)
    scene.once(1.02)
    said = propose_retraining(scene.rounds().monitor(), "v3-20260105T080000-20260105T090000", queue=True)
    assert "to_label.csv lists 10 images" in said
    assert "could not be queued: " in said


def _metrics(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {
        "/".join([sample.name.removeprefix("resnet_ops_monitor_"), *sample.labels.values()]): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_are_written_for_the_node_exporter(scene: Scene) -> None:
    for hour in (0, 1):
        scene.traffic(hour, dirty=True)
    text = ["monitor", "run", "--metrics", "var/resnet_ops.prom", "--until", at(2.02).isoformat()]
    command(*text, status=1)
    found = _metrics(Path("var/resnet_ops.prom").read_text())
    who = "digits-classifier/3"
    assert found[f"alarm/{who}"] == 1
    assert found["verdict/digits-classifier/alarm/3"] == 1
    assert found["verdict/digits-classifier/ok/3"] == 0
    assert found[f"window_rows/{who}"] == 120
    assert found[f"window_end_timestamp_seconds/{who}"] == at(2).timestamp()
    assert 0 < found[f"estimated_accuracy/{who}"] < 1
    assert found["run_timestamp_seconds"] == at(2.02).timestamp()
    assert found["failed"] == 0
    shown = command("monitor", "show")
    assert "(@champion): an alarm lasts." in shown
    assert "No alert waits." in shown


def test_the_service_judges_shows_metrics_and_stops_when_told(scene: Scene) -> None:
    scene.traffic(0)
    settings = yaml.safe_load(Path("params.yaml").read_text())
    port = free_port()
    settings["monitor"]["serve"] = {"every_seconds": 0.2, "port": port}
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    service = subprocess.Popen(
        [sys.executable, "-c", "from resnet_ops.cli import main; main()", "monitor", "serve"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        found: dict[str, float] = {}
        until = time.monotonic() + 120
        while "window_rows/digits-classifier/3" not in found and time.monotonic() < until:
            assert service.poll() is None
            time.sleep(0.2)
            try:
                answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)
            except urllib.error.URLError:
                continue
            with answer:
                found = _metrics(answer.read().decode())
        assert found["failed"] == 0
        service.send_signal(signal.SIGTERM)
        out, err = service.communicate(timeout=60)
    finally:
        service.kill()
        service.communicate()
    assert service.returncode == 0, err
    assert "v3-20260105T080000-20260105T090000: ok." in out
    assert out.endswith("Stopped.\n")
