"""Labels are kept, all of them; the latest of a request counts, where its request was chosen at random."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.labels import Origin, count_right, expect_labels
from resnet_ops_monitoring.inference_log.log import Count, InferenceLog
from tests.unit.monitoring.conftest import make_predictions
from tests.unit.monitoring.inference_log.writing import label


@pytest.fixture
def log(tmp_path: Path) -> InferenceLog:
    """Ten answers without labels: of r0 to r9."""
    opened = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    opened.append(make_predictions(np.random.default_rng(0), 10).assign(label=None, predicted="7"))
    return opened


def kept(log: InferenceLog) -> list[tuple[str, str, str, str]]:
    with log.transaction("read") as connection:
        rows = connection.exec_driver_sql('SELECT request_id, label, origin, "by" FROM labels ORDER BY id')
        return [(*row,) for row in rows]


def test_a_correction_keeps_the_first_label_and_the_latest_counts(log: InferenceLog) -> None:
    before = datetime.now(UTC)
    assert label(log, ["r0", "r1"], ["7", "7"]) == 2
    assert label(log, ["r0", "r1"], ["7", "3"]) == 1
    assert label(log, ["r0", "r1"], ["7", "3"]) == 0
    assert kept(log) == [
        ("r0", "7", "random", "ada"),
        ("r1", "7", "random", "ada"),
        ("r1", "3", "random", "ada"),
    ]
    assert log.read("made-up")["label"].tolist()[:2] == ["7", "3"]
    assert count_right(log) == (1, 1)
    with log.transaction("read") as connection:
        (at,) = connection.exec_driver_sql("SELECT min(at) FROM labels").one()
    assert datetime.fromisoformat(at).replace(tzinfo=UTC) >= before


@pytest.mark.parametrize(
    ("steps", "counts"),
    [
        (["complaint"], False),
        (["random"], True),
        (["complaint", "random"], True),
        (["random", "complaint"], True),
        (["asked at random", "complaint"], True),
        (["asked because it is hard", "complaint"], False),
        (["asked because it is hard", "random"], True),
        (["random", "asked because it is hard", "complaint"], True),
        (["asked because it is hard", "asked at random", "complaint"], True),
        (["asked at random", "asked because it is hard", "complaint"], True),
    ],
)
def test_only_labels_of_requests_that_were_chosen_at_random_tell_how_right_a_version_is(
    log: InferenceLog, steps: list[str], counts: bool
) -> None:
    chosen: dict[str, Origin] = {"complaint": "complaint", "random": "random"}
    for step in steps:
        if step in chosen:
            label(log, ["r0"], ["7"], chosen[step])
        else:
            ids = (["r0"], []) if step == "asked at random" else ([], ["r0"])
            expect_labels(log, *ids)
    assert count_right(log) == ((1, 0) if counts else (0, 0))
    assert log.count("made-up")[""].labelled == counts
    assert log.read("made-up", all_kept=True)["label"].notna().sum() == 1, "it is known all the same"


def test_a_label_is_the_requests_whoever_answered_it_and_whenever(log: InferenceLog) -> None:
    label(log, ["r0"], ["3"])
    late = make_predictions(np.random.default_rng(1), 10)
    log.append(late.assign(label=None, predicted="3", digest="e" * 64, route="canary"))
    counted = [count_right(log, log.table.c.digest == each * 64) for each in "de"]
    assert counted == [(0, 1), (1, 0)]


def test_a_class_that_only_one_of_two_models_knows_is_a_truth_for_both(log: InferenceLog) -> None:
    late = make_predictions(np.random.default_rng(1), 10)
    log.append(late.assign(label=None, predicted="new", digest="e" * 64, route="canary"))
    known = {"d": ["3", "7"], "e": ["3", "7", "new"]}
    label(log, ["r0"], ["new"], classes_of=lambda identity: known[identity.digest[0]])
    assert [count_right(log, log.table.c.digest == each * 64) for each in "de"] == [(0, 1), (1, 0)]
    with pytest.raises(DataError, match="'other'"):
        label(log, ["r0"], ["other"], classes_of=lambda identity: known[identity.digest[0]])


def test_a_label_that_comes_with_an_answer_counts_and_does_not_displace_one_that_is_there(
    log: InferenceLog,
) -> None:
    label(log, ["r0"], ["3"], "complaint")
    frame = make_predictions(np.random.default_rng(0), 10)
    assert log.append(frame.assign(predicted="7")) == 0
    assert kept(log)[0] == ("r0", "3", "complaint", "ada")
    assert [row[2] for row in kept(log)] == ["complaint", *["random"] * 9]
    assert sum(count_right(log)) == 9


def test_labels_go_with_the_last_row_of_their_request(log: InferenceLog) -> None:
    label(log, ["r0", "r9"], ["3", "3"])
    shadow = make_predictions(np.random.default_rng(0), 10)
    later = pd.Timestamp("2026-01-06T08:00Z")
    log.append(shadow[:1].assign(digest="e" * 64, route="shadow", time=later, label=None))
    assert log.forget(datetime(2026, 1, 6, tzinfo=UTC)) == 10
    assert [row[0] for row in kept(log)] == ["r0"]
    assert log.forget(datetime(2026, 1, 7, tzinfo=UTC)) == 1
    assert kept(log) == []


def test_rows_are_counted_by_source_with_those_that_have_a_label_and_those_that_are_right(
    log: InferenceLog,
) -> None:
    more = make_predictions(np.random.default_rng(1), 5).assign(label=None, predicted="3", source="line 2")
    log.append(more.assign(request_id=[f"s{place}" for place in range(5)]))
    label(log, ["r0", "r1", "r2", "s0"], ["7", "3", "7", "7"])
    assert log.count("made-up") == {"": Count(10, 10, 3, 2), "line 2": Count(5, 15, 1, 0)}
