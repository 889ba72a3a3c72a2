"""Windows of which rows are lost, or came late: said with numbers, and not called what nobody knows."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from resnet_ops.data import image_stats
from resnet_ops_monitoring.inference_log.client.writer import open_writer
from resnet_ops_monitoring.inference_log.gaps import Gap, add_gaps
from tests.unit.monitoring.scene import Scene, at

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy", "ignore:unclosed database:ResourceWarning"
    ),
]


def lose(scene: Scene, hour: float, rows: int, *, late: int = 0, source: str | None = None) -> None:
    """A gap of five minutes."""
    since, until = at(hour), at(hour) + timedelta(minutes=4, seconds=50)
    log = scene.log
    with log.transaction("write to") as connection:
        gap = Gap(scene.served.identity, source, since, until, "the disk is full", rows, late)
        add_gaps(connection, [gap])
    log.close()


def test_a_window_that_lacks_too_many_rows_is_insufficient_data_with_the_numbers(scene: Scene) -> None:
    scene.traffic(0)
    lose(scene, 0.5, 30)
    done = scene.once(1.02)
    (verdict,) = done.verdicts
    assert verdict.status == "insufficient data"
    assert verdict.lost == 30
    assert verdict.reason.startswith(
        "30 of about 150 rows were lost from 08:30 to 08:35 UTC (the disk is full); at most 5.0"
    )
    assert "30 of about 150 rows were lost" in Path(done.pages[0]).read_text()
    assert scene.once(1.02).verdicts == ()


def test_a_window_that_lacks_few_rows_is_judged_and_says_so(scene: Scene) -> None:
    scene.traffic(0)
    lose(scene, 0.5, 6)
    (verdict,) = scene.once(1.02).verdicts
    assert (verdict.status, verdict.lost) == ("ok", 6)
    assert "6 of about 126 rows were lost from 08:30 to 08:35 UTC" in verdict.reason


def test_an_hour_of_which_all_rows_are_lost_is_not_passed_over(scene: Scene) -> None:
    scene.traffic(0)
    lose(scene, 2.25, 4000)
    scene.traffic(4)
    verdicts = scene.once(5.02).verdicts
    assert [(each.rows, each.lost, each.status) for each in verdicts] == [
        (120, 0, "ok"),
        (0, 4000, "insufficient data"),
        (120, 0, "ok"),
    ]
    assert "4,000 of about 4,000 rows were lost from 10:15 to 10:20 UTC" in verdicts[1].reason


def test_a_gap_that_is_known_later_has_the_window_judged_again(scene: Scene) -> None:
    scene.traffic(0)
    scene.traffic(2)
    assert [each.status for each in scene.once(3.02).verdicts] == ["ok", "ok"]
    lose(scene, 0.1, 50)
    lose(scene, 1.5, 50)  # of an hour that was passed over
    again = scene.once(3.02).verdicts
    assert [(each.lost, each.status) for each in again] == [(50, "insufficient data")] * 2
    assert scene.once(3.02).verdicts == ()


def test_a_source_that_lost_too_many_is_not_judged_where_the_others_are(scene: Scene) -> None:
    images = scene.served.unseen
    times = [at(0) + timedelta(seconds=10 * i) for i in range(len(images))]
    frame = scene.served.scorer.score(images, [f"r{i}" for i in range(len(images))], times)
    frame["source"] = ["line 1" if i % 3 else "line 2" for i in range(len(images))]
    log = scene.log
    log.append(frame)
    log.close()
    lose(scene, 0.5, 15, source="line 2")
    (verdict,) = scene.once(1.02).verdicts
    assert {each.source: each.status == "insufficient data" for each in verdict.sources} == {
        "line 1": False,
        "line 2": True,
    }
    assert "15 of about" in next(each.reason for each in verdict.sources if each.source == "line 2")


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
def test_rows_that_waited_for_the_database_do_not_make_their_window_invalid(scene: Scene, told: bool) -> None:
    images = scene.served.unseen[:120]
    times = [at(0) + timedelta(seconds=25 * i) for i in range(120)]
    frame = scene.served.scorer.score(images, [f"r{i}" for i in range(120)], times, source="line: 1")
    log = scene.log
    log.append(frame[60:])  # of one process; another one's rows wait in a segment
    log.append(frame[:60])
    log.close()
    if told:
        for minute in range(0, 25, 5):
            lose(scene, minute / 60, 0, late=12, source="line: 1")
    (verdict,) = scene.once(1.02).verdicts
    assert verdict.status == ("ok" if told else "invalid data")


def test_what_a_writer_refuses_shows_in_the_verdict(scene: Scene) -> None:
    model, identity = scene.served.scorer.model, scene.served.identity
    images = scene.served.unseen[:120]
    predictions = model.predict(images, batch_size=120)
    log = open_writer(
        "sqlite:///var/inference.db",
        model=identity.name,
        version=identity.version,
        digest=identity.digest,
        classes=model.classes,
    )
    with log:
        for i in range(120):
            when = at(0) + timedelta(seconds=25 * i)
            statistics = image_stats(images[i : i + 1])
            row = predictions.probabilities[i], predictions.embeddings[i], statistics
            assert log.record(*row, time=when, request_id=f"r{i}")
            if i % 5 == 0:
                assert not log.record(row[0][:3], *row[1:], time=when)
    (verdict,) = scene.once(1.02).verdicts
    assert verdict.status == "insufficient data"
    assert verdict.rows == 120
    assert verdict.reason.startswith(
        "24 of about 144 rows were lost from 08:00 to 08:48 UTC (probabilities are 3 numbers, but the classes 10);"
    )
