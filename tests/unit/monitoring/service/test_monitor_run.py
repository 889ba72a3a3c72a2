"""Windows judged as they come: each once, in order, whatever happens in between."""

from __future__ import annotations

import errno
import fcntl
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from resnet_ops.errors import ConfigError, DataError, EvidenceError
from resnet_ops.evaluation.operating_point import OperatingPoint
from resnet_ops_monitoring.report.stored_reference import store_reference
from resnet_ops_monitoring.service import monitor_service
from resnet_ops_monitoring.service.history import VerdictHistory
from resnet_ops_monitoring.service.monitor import alone
from resnet_ops_monitoring.service.monitor_service import MonitorService
from resnet_ops_registry.attestations.keys import open_key
from resnet_ops_registry.common.connection import connect
from tests.unit.monitoring.inference_log.writing import label
from tests.unit.monitoring.scene import Scene, at
from tests.unit.registry.conftest import NAME, measured_at

if TYPE_CHECKING:
    from resnet_ops_monitoring.drift.verdict import Verdict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy", "ignore:unclosed database:ResourceWarning"
    ),
]


def _statuses(scene: Scene) -> list[tuple[str, str]]:
    recent = VerdictHistory(scene.log).recent(scene.served.identity)
    return [(each.window.split("-")[1][-6:-4], each.status) for each in recent]


def test_one_dirty_hour_is_watched_a_second_alarms_and_clean_ones_end_it(scene: Scene) -> None:
    scene.traffic(0)
    scene.traffic(1, dirty=True)
    assert not scene.once(2.02).alarm
    assert _statuses(scene) == [("08", "ok"), ("09", "warning")]
    scene.traffic(2, dirty=True)
    done = scene.once(3.02)
    assert [each.status for each in done.verdicts] == ["alarm"]
    assert done.alarm
    assert done.troubled
    assert Path(done.pages[0]).is_file()
    for hour in (3, 4):
        scene.traffic(hour)
    assert not scene.once(5.02).alarm
    assert [status for _, status in _statuses(scene)] == ["ok", "warning", "alarm", "ok", "ok"]


def test_a_repeat_judges_nothing_and_publishes_nothing(scene: Scene) -> None:
    scene.traffic(0)
    first = scene.once(1.02)
    client = connect()
    experiment = client.get_experiment_by_name(f"{NAME}/monitoring")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    again = scene.once(1.02)
    assert (len(first.verdicts), len(again.verdicts)) == (1, 0)
    found = client.search_runs([experiment.experiment_id])
    assert [run.data.to_dictionary() for run in found] == [run.data.to_dictionary() for run in runs]


def test_a_window_is_left_alone_until_it_is_over_and_settled(scene: Scene) -> None:
    scene.traffic(0)
    assert scene.once(1.01).verdicts == ()
    assert len(scene.once(1.02).verdicts) == 1


def test_hours_without_traffic_are_passed_over_but_silence_shows_at_the_end(scene: Scene) -> None:
    scene.traffic(0)
    scene.traffic(50)
    done = scene.once(60.02)
    assert [each.status for each in done.verdicts] == ["ok", "ok", "insufficient data"]
    assert (done.verdicts[-1].rows, done.verdicts[-1].start) == (0, at(59))


@pytest.mark.parametrize("rows", [0, 240], ids=["by the hour", "by rows"])
def test_rows_that_come_late_for_an_hour_that_was_passed_over_are_judged(scene: Scene, rows: int) -> None:
    run = replace(scene.settings.run, minutes=0 if rows else 60, rows=rows)
    for hour in (0, 1, 5, 6):
        scene.traffic(hour)
    scene.once(7.02, run=run)
    before = len(_statuses(scene))
    for hour in (2, 4):
        scene.traffic(hour)
    late = scene.once(7.02, run=run).verdicts
    assert [each.rows for each in late] == ([240] if rows else [120, 120])
    assert len(_statuses(scene)) == before + len(late)
    assert scene.once(7.02, run=run).verdicts == ()


@pytest.mark.parametrize("rows", [0, 240], ids=["by the hour", "by rows"])
def test_rows_that_come_late_from_before_the_first_window_are_judged(scene: Scene, rows: int) -> None:
    run = replace(scene.settings.run, minutes=0 if rows else 60, rows=rows)
    for hour in (5, 6):
        scene.traffic(hour)
    scene.once(7.02, run=run)
    for hour in (1, 3):
        scene.traffic(hour)
    late = scene.once(7.02, run=run).verdicts
    assert [each.rows for each in late] == ([240] if rows else [120, 120])
    assert late[0].start == at(1)
    assert scene.once(7.02, run=run).verdicts == ()


def test_no_more_windows_from_before_the_first_are_judged_than_the_settings_say(scene: Scene) -> None:
    run = replace(scene.settings.run, late_windows=3)
    scene.traffic(9)
    scene.once(10.02, run=run)
    for hour in (1, 3, 5, 7):
        scene.traffic(hour, rows=60)
    assert [each.start for each in scene.once(10.02, run=run).verdicts] == [at(5), at(7)]
    assert scene.once(10.02, run=run).verdicts == ()


def test_one_row_from_the_future_silences_nothing_and_is_told(scene: Scene) -> None:
    scene.traffic(0)
    odd = scene.served.scorer.score(scene.served.unseen[:1], ["odd"], [at(90_000)])
    scene.log.append(odd)
    done = scene.once(1.02)
    assert [each.status for each in done.verdicts] == ["ok"]
    assert "1 rows are set aside" in " ".join(done.lines)
    assert done.to_dict()["set_aside"] == 1


def test_a_full_disk_ends_no_service(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop = Event()

    def full(*_: object) -> None:
        stop.set()
        raise OSError(errno.ENOSPC, "No space left on device", "var/artifacts/page.html")

    monkeypatch.setattr(MonitorService, "once", full)
    monkeypatch.setattr(monitor_service, "Event", lambda: stop)
    scene.rounds().serve()
    assert "[Errno 28] No space left" in capsys.readouterr().err


def test_a_champion_that_decides_elsewhere_by_now_is_not_judged_by_its_old_reference(scene: Scene) -> None:
    scene.traffic(0)
    measured_at(connect(), 3, OperatingPoint(("1",), 0.25))
    with pytest.raises(EvidenceError, match="drift reference"):
        scene.once(1.02)
    assert _statuses(scene) == []


def test_windows_can_be_counted_in_rows(scene: Scene) -> None:
    for hour in (0, 1):
        scene.traffic(hour)
    by_rows = replace(scene.settings.run, minutes=0, rows=100)
    done = scene.once(3, run=by_rows)
    assert [each.rows for each in done.verdicts] == [100, 100]
    assert scene.once(3, run=by_rows).verdicts == ()


def test_labels_and_rows_that_come_late_have_the_window_judged_again(scene: Scene) -> None:
    scene.traffic(0)
    first = scene.once(1.02).verdicts[0]
    assert first.real_accuracy is None
    truth = scene.served.truth[:120]
    label(scene.log, [f"hour-0-{i}" for i in range(120)], truth)
    again = scene.once(1.02).verdicts
    assert [each.window for each in again] == [first.window]
    assert again[0].real_accuracy is not None
    assert again[0].real_accuracy.n == 120
    assert scene.once(1.02).verdicts == ()


def test_a_run_that_was_killed_after_the_page_is_completed_by_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.traffic(0)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VerdictHistory, "add", killed)
        with pytest.raises(KeyboardInterrupt):
            scene.once(1.02)
    assert _statuses(scene) == []
    assert len(scene.once(1.02).verdicts) == 1
    client = connect()
    experiment = client.get_experiment_by_name(f"{NAME}/monitoring")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert len(client.list_artifacts(run.info.run_id, "windows")) == 1


def test_two_runs_at_once_judge_nothing_twice(scene: Scene) -> None:
    scene.traffic(0)
    with alone(Path("var/monitor.lock")) as mine:
        assert mine
        assert scene.rounds().once(at(1.02)) is None
    with Path("var/monitor.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it was let go
    assert len(scene.once(1.02).verdicts) == 1


def test_data_that_cannot_be_believed_is_a_verdict_of_its_own(scene: Scene) -> None:
    scene.traffic(0)
    strict = replace(scene.settings.validate, max_rows=100)
    done = scene.once(1.02, validate=strict)
    verdict: Verdict = done.verdicts[0]
    assert verdict.status == "invalid data"
    assert "at most 100 rows: 120 rows" in verdict.reason
    assert not verdict.passed
    assert done.troubled
    assert not done.alarm
    assert "at most 100 rows: 120 rows" in Path(done.pages[0]).read_text()


def test_a_window_that_cannot_be_judged_neither_clears_nor_raises_an_alarm(scene: Scene) -> None:
    for hour in (0, 1):
        scene.traffic(hour, dirty=True)
    assert scene.once(2.02).alarm
    scene.traffic(2, rows=10)
    done = scene.once(3.02)
    assert [each.status for each in done.verdicts] == ["insufficient data"]
    assert done.alarm


def test_a_reference_that_mlflow_keeps_comes_first_and_needs_no_local_file(scene: Scene) -> None:
    scene.traffic(0)
    scene.once(1.02)
    store_reference(connect(), scene.served.reference, open_key())
    Path("data/reference/reference.parquet").unlink()
    scene.traffic(1)
    assert len(scene.once(2.02).verdicts) == 1


def test_an_alias_that_nobody_has_is_named_with_what_to_do(scene: Scene) -> None:
    with pytest.raises(ConfigError, match=r"digits-classifier is @edge.*resnet-ops promote"):
        replace(scene.rounds(), alias="edge").once(at(1))


def test_a_budget_that_no_test_can_keep_is_refused_with_the_setting(scene: Scene) -> None:
    scene.traffic(0)
    strict = replace(scene.settings.run, false_alarms_per_day=0.0001)
    with pytest.raises(DataError, match=r"0\.0001 false alarms a day.*monitor\.run"):
        scene.once(1.02, run=strict)
