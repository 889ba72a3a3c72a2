"""The commands, as a user runs them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from resnet_ops_monitoring.cli.commands import add_commands
from resnet_ops_monitoring.inference_log.gaps import Gap, add_gaps
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.camera import degrade
from resnet_ops_monitoring.settings.drift import DriftParams

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served


def _run(*arguments: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    add_commands(app)
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def logged(served: Served, params: DriftParams, project: Path) -> Path:
    """A project with a log of two windows, a reference and settings."""
    log = InferenceLog.open()
    log.append(served.score(served.unseen, "calm"))
    log.append(served.score(degrade(served.unseen, 0), "dirty"))
    log.close()
    served.reference.save(project / "data/reference/reference.parquet")
    (project / "params.yaml").write_text(
        yaml.safe_dump({"monitor": {"drift": dict(vars(params)), "keep_days": 183}})
    )
    return project


@pytest.mark.slow
def test_judging_exits_0_when_all_is_well_and_1_on_an_alarm(logged: Path) -> None:
    calm, dirty = (
        _run("drift", "judge", "--window", "calm"),
        _run("drift", "judge", "--window", "dirty", "--json"),
    )
    assert (calm.exit_code, dirty.exit_code) == (0, 1), calm.output + dirty.output
    assert "calm: ok." in calm.output
    found = json.loads(dirty.output)
    assert found["status"] == "alarm"
    assert (logged / found["page"]).exists()
    listed = _run("drift", "report", "--json")
    assert listed.exit_code == 1
    assert [window["status"] for window in json.loads(listed.output)] == ["ok", "alarm"]
    assert "alarm" in _run("drift", "report").output


def test_a_window_nobody_logged_is_insufficient_data_and_exits_1(logged: Path) -> None:
    result = _run("drift", "judge", "--window", "nothing")
    assert result.exit_code == 1
    assert "insufficient data" in result.output


def test_a_stretch_of_time_can_be_judged(logged: Path) -> None:
    result = _run("drift", "judge", "--since", "2026-01-05T08:00Z", "--until", "2026-01-05T08:10Z", "--json")
    assert json.loads(result.output)["rows"] == 40
    assert (logged / "reports/drift/20260105T080000-20260105T081000/review.html").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--window", "w", "--since", "2026-01-05T08:00Z"],
        ["--since", "soon"],
        ["--since", "2026-01-05T08:00"],
    ],
)
def test_wrong_usage_exits_2(project: Path, arguments: list[str]) -> None:
    assert _run("drift", "judge", *arguments).exit_code == 2


def test_a_missing_reference_says_what_to_run(logged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (logged / "data/reference/reference.parquet").unlink()
    result = _run("drift", "judge", "--window", "calm")
    assert result.exit_code == 1
    assert "data/reference/reference.parquet is missing" in result.stderr
    assert "dvc repro" in result.stderr


def test_nothing_judged_yet_is_said(project: Path) -> None:
    result = _run("drift", "report")
    assert result.exit_code == 0
    assert "No window was judged yet" in result.output


def test_labels_from_a_file_reach_the_log(logged: Path, served: Served) -> None:
    (logged / "labels.csv").write_text("request_id,label\ncalm-0,1\ncalm-1,2\n")
    assert "2 labels set or changed" in _run("log", "label", "labels.csv").output
    assert "0 labels set or changed" in _run("log", "label", "labels.csv").output
    shown = json.loads(_run("log", "show", "--json").output)
    assert [(row["window"], row["rows"], row["labelled"]) for row in shown["rows"]] == [
        ("calm", 358, 2),
        ("dirty", 358, 0),
    ]
    assert shown["gaps"] == []
    assert "calm" in _run("log", "show").output


def test_gaps_are_shown_with_what_is_there(logged: Path, served: Served) -> None:
    log, since = InferenceLog.open(), datetime(2026, 1, 5, 2, 10, tzinfo=UTC)
    with log.transaction("write to") as connection:
        gap = Gap(
            served.identity, "line\x1b 1", since, since + timedelta(minutes=15), "the disk is full", 312
        )
        add_gaps(connection, [gap])
    (shown,) = json.loads(_run("log", "show", "--json").output)["gaps"]
    assert (shown["lost"], shown["identity"]["name"], shown["reason"]) == (
        312,
        served.identity.name,
        gap.reason,
    )
    text = _run("log", "show").output
    assert "312" in text
    assert "the disk is full" in " ".join(text.split())
    assert "\x1b" not in text


@pytest.mark.parametrize(
    "content", ["", "id,label\na,1\n", "request_id,label\ncalm-0,\n", "request_id,label\nx,1\n"]
)
def test_a_label_file_that_does_not_fit_labels_nothing(logged: Path, content: str) -> None:
    (logged / "labels.csv").write_text(content)
    result = _run("log", "label", "labels.csv")
    assert result.exit_code == 1
    assert "log label: " in result.stderr
    assert InferenceLog.open().summary()["labelled"].sum() == 0


def test_old_rows_are_counted_first_and_deleted_on_demand(logged: Path) -> None:
    old = pd.DataFrame(InferenceLog.open().read("digits-classifier", window="calm"))
    ids = [f"old {name}" for name in old["request_id"]]
    InferenceLog.open().append(
        old.assign(request_id=ids, window="old", time=pd.Timestamp("2020-01-05T08:00Z"))
    )
    words = ("log", "forget", "--before", "2020-02-01T00:00Z")
    counted = _run(*words).output
    assert "Nothing was deleted" in " ".join(counted.split())
    assert len(InferenceLog.open().summary()) == 3
    assert f"{len(old)} rows from before 2020-02-01 00:00 UTC deleted. The ledger has it." in " ".join(
        _run(*words, "--yes").output.split()
    )
    assert len(InferenceLog.open().summary()) == 2
