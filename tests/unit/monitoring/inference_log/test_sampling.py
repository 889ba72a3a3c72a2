"""A sample that stands for all requests, beside rows that are kept for what is in them and stand for nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.drift.reference import build_reference
from resnet_ops_monitoring.drift.time_ranges import judge_time_range
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.inference_log.sampling import Sampling
from tests.unit.monitoring.conftest import PARAMS, make_predictions
from tests.unit.monitoring.inference_log.writing import answer, label, writer_of

WHO = ModelIdentity("made-up", "1", "d" * 64)
SAMPLING = Sampling(rate=0.1, unsure=0.6)


def sampled(frame: pd.DataFrame, sampling: Sampling) -> pd.DataFrame:
    """The rows of a frame that a writer keeps."""
    chances = matrix(frame, "probabilities")
    kept = [sampling.kept(name, row) for name, row in zip(frame["request_id"], chances, strict=True)]
    rows = frame[[each is not None for each in kept]]
    return rows.assign(
        **dict(zip(("kept", "drawn"), np.array([each for each in kept if each]).T, strict=True))
    )


def traffic(rng: np.random.Generator, rows: int, window: str) -> pd.DataFrame:
    ids = [f"{window}-{i}" for i in range(rows)]
    return make_predictions(rng, rows).assign(request_id=ids, window=window)


def test_the_rate_is_kept_and_the_same_request_is_drawn_by_every_version_and_again() -> None:
    ids = [f"request-{i}" for i in range(50_000)]
    drawn = [name for name in ids if SAMPLING.kept(name) is not None]
    assert abs(len(drawn) - 5000) < 5 * np.sqrt(50_000 * 0.1 * 0.9)
    assert [name for name in ids if SAMPLING.kept(name) is not None] == drawn
    more = {name for name in ids if Sampling(rate=0.2, unsure=0.0).kept(name) is not None}
    assert set(drawn) < more


def test_an_unsure_answer_is_kept_for_certain_and_says_whether_it_was_drawn_as_well() -> None:
    sure, unsure = np.array([0.9, 0.1], np.float32), np.array([0.55, 0.45], np.float32)
    ids = [f"request-{i}" for i in range(1000)]
    drawn = {name for name in ids if SAMPLING.kept(name, sure) is not None}
    assert all(SAMPLING.kept(name, sure) == (0.1, 0.1) for name in drawn)
    for name in ids:
        kept, rate = SAMPLING.kept(name, unsure) or (0.0, 0.0)
        assert kept == 1
        assert (rate == 0.1) if name in drawn else np.isnan(rate)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1.5}, {"unsure": -0.1}, {"rate": float("nan")}])
def test_a_rate_that_is_none_is_a_setting_error(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="takes a rate above 0"):
        replace(SAMPLING, **wrong)


def test_the_writer_keeps_what_the_sampling_says_and_the_log_says_how(tmp_path: Path) -> None:
    with writer_of(tmp_path, sampling=SAMPLING) as writer:
        for i in range(400):
            assert writer.record(*answer(i), request_id=f"r-{i}"), "what is left out is not lost"
            assert writer.record_unanswered("refused", request_id=f"n-{i}")
    stats = writer.stats()
    assert stats.recorded + stats.left_out == 800
    log = InferenceLog(f"sqlite:///{tmp_path}/log.db")
    confidence = {f"r-{i}": answer(i)[0].max() for i in range(400)}
    with log.transaction("read") as connection:
        rows = connection.exec_driver_sql("SELECT request_id, status, kept, drawn FROM inferences").all()
    assert len(rows) == stats.written == stats.recorded
    for name, status, kept, drawn in rows:
        interesting = status == "ok" and confidence[name] < 0.6
        assert kept == (1.0 if interesting else 0.1)
        assert drawn == (0.1 if SAMPLING.kept(name) else None)
    chosen = [name for name, _, _, drawn in rows if drawn is None]
    assert set(chosen) <= {name for name, value in confidence.items() if value < 0.6}
    assert chosen
    assert not set(log.read("made-up")["request_id"]) & set(chosen)
    label(log, chosen, [str(log.read("made-up")["predicted"][0])] * len(chosen))
    assert log.count("made-up")[""].labelled == 0, "chosen rows tell nothing of accuracy"
    assert log.summary()["chosen"].sum() == len(chosen)


@pytest.mark.slow
def test_the_false_alarm_rate_holds_with_a_sample_of_10_percent_and_would_not_with_all_rows(
    tmp_path: Path,
) -> None:
    log, rng = InferenceLog(f"sqlite:///{tmp_path}/log.db"), np.random.default_rng(0)
    classes, windows = tuple("0123456789"), 30
    alarms = {"drawn": 0, "all": 0}
    for number in range(windows):
        reference = build_reference(traffic(rng, 600, "test"), WHO, classes, rows=600, seed=0)
        rows = sampled(traffic(rng, 3000, f"w{number}"), SAMPLING)
        log.append(rows)
        found = judge_time_range(log, reference, PARAMS, name="w", window=f"w{number}").verdict
        assert found.rows == rows["drawn"].notna().sum()
        alarms["drawn"] += found.status == "alarm"
        ids = "every " + rows["request_id"]
        log.append(rows.assign(request_id=ids, drawn=0.1, window=f"all{number}"))
        every = judge_time_range(log, reference, PARAMS, name="w", window=f"all{number}").verdict
        alarms["all"] += every.status == "alarm"
    assert alarms["drawn"] <= 7, "5 % of 30 is 1.5; more than 7 come of it once in 10,000"
    assert alarms["all"] >= 25


def test_a_window_of_rows_that_were_drawn_at_different_rates_is_not_judged(tmp_path: Path) -> None:
    log, rng = InferenceLog(f"sqlite:///{tmp_path}/log.db"), np.random.default_rng(0)
    reference = build_reference(traffic(rng, 400, "t"), WHO, tuple("0123456789"), rows=400, seed=0)
    log.append(traffic(rng, 100, "w"))
    rows: Any = traffic(rng, 100, "w").assign(drawn=0.1, kept=0.1)
    log.append(rows.assign(request_id=[f"x{i}" for i in range(100)]))
    found = judge_time_range(log, reference, PARAMS, name="w", window="w").verdict
    assert found.status == "insufficient data"
    assert found.reason.startswith("Rows were drawn at rates of 10\xa0% to 100\xa0%, so they do not stand")
