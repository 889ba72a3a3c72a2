"""What a server hands over: taken exactly, or refused with words that say what to correct."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.columns import STATISTICS, Row
from resnet_ops_monitoring.inference_log.gaps import Gap
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.incoming import Incoming
from resnet_ops_monitoring.inference_log.rows import decode, encode_gap
from tests.unit.monitoring.inference_log.writing import CLASSES, DIGEST, FEATURES, answer

WHO = ModelIdentity("made-up", "1", DIGEST)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
KNOWN: dict[str, Any] = {
    "request_id": "r",
    "moment": NOON,
    "source": None,
    "latency_ms": None,
    "label": None,
}


def row(*given: Any, **more: Any) -> dict[str, Any]:
    made = Incoming(WHO, CLASSES).row(*(given or answer(0)), **{**KNOWN, **more})
    assert made is not None
    decoded = decode(made)
    assert isinstance(decoded, Row)
    return decoded._asdict()


def test_what_is_handed_over_comes_out_to_the_bit() -> None:
    probabilities, embedding, statistics = answer(3)
    found = row(probabilities, embedding, statistics, source="Straße 7 📷", latency_ms=0.1, label="NA")
    assert found["probabilities"] == probabilities.astype("<f4").tobytes()
    assert found["embedding"] == embedding.astype("<f4").tobytes()
    assert {name: found[name] for name in STATISTICS} == statistics
    assert found["predicted"] == CLASSES[int(probabilities.argmax())]
    assert (found["model"], found["version"], found["digest"]) == ("made-up", "1", DIGEST)
    assert (found["source"], found["latency_ms"], found["label"]) == ("Straße 7 📷", 0.1, "NA")
    assert (found["time"], found["window"], found["request_id"]) == (NOON, None, "r")


def test_what_is_not_known_is_none_and_not_a_number_of_its_own() -> None:
    probabilities, embedding, statistics = answer(0)
    found = row(probabilities, embedding, {**statistics, "entropy": None, "contrast": float("nan")})
    for name in ("entropy", "contrast", "latency_ms", "source", "label"):
        assert found[name] is None


def test_values_that_are_not_finite_are_logged_for_the_monitor_to_alarm() -> None:
    _, embedding, statistics = answer(0)
    found = row(
        np.full(len(CLASSES), np.nan, np.float32), embedding, {**statistics, "contrast": float("inf")}
    )
    assert np.isnan(np.frombuffer(found["probabilities"], "<f4")).all()
    assert found["contrast"] == float("inf")
    large = row([1e300] * len(CLASSES), torch.tensor(embedding), statistics)
    assert np.isinf(np.frombuffer(large["probabilities"], "<f4")).all()
    assert large["embedding"] == embedding.tobytes()


def test_lists_numbers_of_numpy_and_arrays_of_one_do_as_well() -> None:
    probabilities, embedding, statistics = answer(0)
    arrays = {name: np.array([value]) for name, value in statistics.items()}
    assert row(probabilities.tolist(), list(embedding), arrays) == row(probabilities, embedding, statistics)
    assert row(probabilities[::1], embedding[::-1], statistics)["embedding"] == embedding[::-1].tobytes()


def test_a_request_without_id_or_time_gets_its_own_and_now() -> None:
    before = datetime.now(UTC)
    first, second = (row(request_id=None, moment=None) for _ in range(2))
    assert first["request_id"] != second["request_id"]
    assert before - timedelta(microseconds=1) <= first["time"] <= second["time"] <= datetime.now(UTC)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30))])))
def test_any_moment_with_a_zone_stays_that_moment(moment: datetime) -> None:
    assert row(moment=moment)["time"] == moment


def test_what_is_handed_over_is_copied_at_once() -> None:
    probabilities, embedding, statistics = answer(0)
    made = Incoming(WHO, CLASSES).row(probabilities, embedding, statistics, **KNOWN)
    assert made is not None
    before = embedding.tobytes()
    embedding[:] = 0
    decoded = decode(made)
    assert isinstance(decoded, Row)
    assert decoded.embedding == before


BAD: list[tuple[str, dict[str, Any]]] = [
    (r"probabilities are 3 numbers, but the classes 4", {"probabilities": np.ones(3)}),
    (r"probabilities has the shape \(1, 4\)", {"probabilities": np.ones((1, 4))}),
    (r"embedding has the shape \(0,\)", {"embedding": []}),
    (r"embedding is no vector of numbers", {"embedding": "six"}),
    (r"embedding is no vector of numbers", {"embedding": [1.0, [2.0]]}),
    (r"embedding is no vector of numbers", {"embedding": torch.ones(3, requires_grad=True)}),
    (r"embedding is no vector of numbers", {"embedding": np.ones(3, complex)}),
    (r"statistics are no mapping", {"statistics": None}),
    (r"latency_ms is no number", {"latency_ms": 10**400}),
    (r"statistics lack entropy", {"statistics": dict.fromkeys(STATISTICS[:-1], 0.5)}),
    (r"statistics lack brightness", {"statistics": defaultdict(float)}),
    (r"entropy is no number", {"statistics": {**dict.fromkeys(STATISTICS, 0.5), "entropy": "much"}}),
    (r"entropy is no number", {"statistics": {**dict.fromkeys(STATISTICS, 0.5), "entropy": np.ones(2)}}),
    (r"time is no moment with a time zone", {"moment": datetime(2026, 1, 31)}),
    (r"time is no moment with a time zone", {"moment": "2026-01-31T08:00Z"}),
    (r"request_id is no text of 1 to 200 characters", {"request_id": ""}),
    (r"request_id is no text of 1 to 200 characters", {"request_id": 7}),
    (r"request_id is no text of 1 to 200 characters", {"request_id": "x" * 201}),
    (r"source is no text of 1 to 200 characters", {"source": "nul\0"}),
    (r"source holds half a character", {"source": "\ud800"}),
    (r"label is no text", {"label": 3}),
    (r"latency_ms is no number", {"latency_ms": "fast"}),
    (r"route is none of champion, shadow", {"route": np.array(["shadow"])}),
    (r"route is none of champion, shadow", {"route": np.array(["shadow", "shadow"])}),
]


@pytest.mark.parametrize(("words", "change"), BAD)
def test_what_the_log_cannot_hold_is_refused_and_said(words: str, change: dict[str, Any]) -> None:
    probabilities, embedding, statistics = answer(0)
    vectors = {"probabilities": probabilities, "embedding": embedding, "statistics": statistics}
    given = [change.get(name, value) for name, value in vectors.items()]
    more = {name: value for name, value in change.items() if name not in vectors}
    with pytest.raises(DataError, match=words):
        row(*given, **more)


def test_all_embeddings_are_as_long_as_the_first() -> None:
    incoming, (probabilities, embedding, statistics) = Incoming(WHO, CLASSES), answer(0)
    with pytest.raises(DataError, match="statistics lack"):
        incoming.row(probabilities, embedding[1:], {}, **KNOWN)
    incoming.row(probabilities, embedding, statistics, **KNOWN)
    with pytest.raises(DataError, match=f"embedding is 5 numbers, but {FEATURES} in rows before"):
        incoming.row(probabilities, embedding[1:], statistics, **KNOWN)


@pytest.mark.parametrize("classes", [(), ("a", "a"), ("", "b"), ("a" * 201,)])
def test_classes_that_are_none_are_refused_when_the_writer_is_opened(classes: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="class"):
        Incoming(WHO, classes)


def test_a_gap_comes_out_as_it_was() -> None:
    gap = Gap(WHO, None, NOON, NOON + timedelta(microseconds=1), "weil das Gerät voll ist", lost=3)
    assert decode(encode_gap(gap)) == gap


@given(st.binary(max_size=200))
def test_other_bytes_are_no_row(content: bytes) -> None:
    with pytest.raises(DataError, match="neither a row nor a gap"):
        decode(content)
