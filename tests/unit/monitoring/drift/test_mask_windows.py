"""Windows of masks: logged, judged, estimated and shown as those of classes are."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops.errors import DataError
from resnet_ops.tasks.task import CONFIDENCE
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.held_out import check_tested, held_out_reference
from resnet_ops_monitoring.drift.reference import Reference, accept_window, load_reference
from resnet_ops_monitoring.drift.verdict import load_verdict
from resnet_ops_monitoring.inference_log.client.writer import open_writer
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.report.evidently_page import drawn_columns
from resnet_ops_monitoring.report.report import PageContext, review_page
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.settings.drift import ReferenceParams
from resnet_ops_monitoring.statistics.summary import load_summary, merge, summarise
from resnet_ops_registry.attestations.evidence import Evidence, Metric, Source
from resnet_ops_registry.attestations.outcomes import pack_scores
from tests.unit.core.tasks.threshold_model import CLASSES, ThresholdModel, spotted
from tests.unit.monitoring.conftest import PARAMS

WHO = ModelIdentity("spot-finder", "1", "d" * 64)
EVIDENCE = Evidence(
    member="threshold",
    weights_digest="d" * 64,
    metrics={"test.miou": Metric(value=0.9, n=200)},
    data={"test": "0" * 64},
    source=Source(commit="a" * 40, dirty=False, dvc_lock=None),
    environment={"python": "3.11"},
    hardware={},
    seeds={},
    created=datetime(2026, 1, 1, tzinfo=UTC),
)
SCALARS = ("share of spot", CONFIDENCE, "unsure pixels", "regions")


@dataclass(frozen=True)
class Watch:
    """A version with its reference, and images that are in neither."""

    reference: Reference
    images: np.ndarray

    def frame(self, images: np.ndarray, labels: list[str] | None = None) -> pd.DataFrame:
        start = datetime(2026, 1, 5, 8, tzinfo=UTC)
        times = [start + timedelta(seconds=place) for place in range(len(images))]
        ids = [f"r{place}" for place in range(len(images))]
        return Scorer(ThresholdModel(), WHO).score(images, ids, times, labels=labels)


@pytest.fixture(scope="module")
def watch() -> Watch:
    params = ReferenceParams(reference_rows=300, perturbed_images=20)
    test = spotted(1000).split("test")
    made = held_out_reference(ThresholdModel(), WHO, test, params, 0, lambda done, total: None)
    return Watch(made, spotted(1000, seed=1).images[:300])


@pytest.mark.slow
def test_a_reference_of_masks_knows_scores_and_the_names_of_its_numbers(watch: Watch, tmp_path: Path) -> None:
    assert watch.reference.schema.scalars == SCALARS
    assert watch.reference.classes == CLASSES
    assert watch.reference.measured == "mean IoU of an image"
    assert watch.reference.accuracy(0.95).value == 1.0
    watch.reference.save(tmp_path / "reference.parquet")
    again = load_reference(tmp_path / "reference.parquet")
    again.save(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "reference.parquet").read_bytes()
    assert again.accuracy(0.95) == watch.reference.accuracy(0.95)
    frame = watch.frame(watch.images[:100])
    assert judge(frame, again, PARAMS, window="w") == judge(frame, watch.reference, PARAMS, window="w")


def test_the_score_of_each_image_in_the_evidence_tells_whether_these_are_the_test_images() -> None:
    scores = np.linspace(0, 1, 41)
    said = EVIDENCE.model_copy(update={"outcomes": {"test": pack_scores("0" * 64, scores)}})
    one = np.where(np.arange(41) == 20, 1.0, scores)  # as on another machine
    for found in (scores, one):
        check_tested(WHO, "mean IoU of an image", found, said)
    for other in (scores[::-1], scores[:-1], scores * 0.9):
        with pytest.raises(DataError, match="mean IoU of an image"):
            check_tested(WHO, "mean IoU of an image", other, said)


def test_evidence_without_scores_and_accuracy_proves_nothing() -> None:
    with pytest.raises(DataError, match=r"names no test\.top1.*dvc repro register_models"):
        check_tested(WHO, "mean IoU of an image", np.ones(3), EVIDENCE)


@pytest.mark.slow
def test_a_window_like_the_reference_is_ok_and_its_score_is_estimated(watch: Watch) -> None:
    verdict = judge(watch.frame(watch.images), watch.reference, PARAMS, window="w")
    assert verdict.status == "ok"
    assert verdict.estimated is not None
    assert verdict.estimated.low <= 1.0
    assert verdict.estimated.value > 0.9


@pytest.mark.slow
def test_what_hurts_the_masks_alarms_with_the_number_that_shifted(watch: Watch, tmp_path: Path) -> None:
    verdict = judge(watch.frame((watch.images * 0.55).astype(np.uint8)), watch.reference, PARAMS, window="w")
    assert verdict.status == "alarm"
    (found,) = (each for each in verdict.findings if each.signal == "scalars")
    assert found.fired
    assert found.column in SCALARS
    assert f"{found.column} is" in verdict.reason
    assert verdict.estimated is not None
    assert verdict.estimated.value < 0.8
    verdict.save(tmp_path / "verdict.json")
    assert load_verdict(tmp_path / "verdict.json") == verdict


@pytest.mark.slow
def test_another_mix_of_kinds_alarms(watch: Watch) -> None:
    with_spots = watch.images[[(image > 125).any() for image in watch.images]]
    verdict = judge(watch.frame(with_spots), watch.reference, PARAMS, window="w")
    assert "classes" in {each.signal for each in verdict.findings if each.fired}


@pytest.mark.slow
def test_labels_of_images_say_nothing_of_scores(watch: Watch) -> None:
    frame = watch.frame(watch.images[:100], labels=["spot"] * 100)
    assert judge(frame, watch.reference, PARAMS, window="w").real_accuracy is None


@pytest.mark.slow
def test_the_page_names_the_score_and_the_numbers(watch: Watch) -> None:
    images = (watch.images * 0.55).astype(np.uint8)
    frame = watch.frame(images)
    verdict = judge(frame, watch.reference, PARAMS, window="w")
    page = review_page(verdict, frame, watch.reference, PARAMS, PageContext(role="champion", images=images))
    (found,) = (each for each in verdict.findings if each.signal == "scalars")
    assert "Mean IoU of an image when tested" in page
    assert f"most of all in {found.column}" in page
    assert "Real" not in page
    assert "Labels settle it" not in page
    assert "Probability of class" not in page


@pytest.mark.slow
def test_evidently_draws_the_numbers_by_name(watch: Watch) -> None:
    drawn = drawn_columns(watch.frame(watch.images[:100]), watch.reference, 0)
    assert {*SCALARS, "predicted"} <= {*drawn.columns}
    assert len(drawn) == 100
    assert not any(name.startswith("probability of") for name in drawn.columns)


@pytest.mark.slow
def test_an_accepted_window_keeps_the_numbers(watch: Watch) -> None:
    frame = watch.frame(watch.images[:150])
    accepted = accept_window(watch.reference, frame, by="ann", why="new lamp", at=datetime.now(UTC))
    assert accepted.schema.scalars == SCALARS
    assert accepted.accuracy(0.95) == watch.reference.accuracy(0.95)
    assert judge(watch.frame(watch.images[150:]), accepted, PARAMS, window="w").status == "ok"


@pytest.mark.slow
def test_summaries_of_parts_are_those_of_the_whole(watch: Watch) -> None:
    schema, frame = watch.reference.schema, watch.frame(watch.images)
    whole = summarise(frame, schema)
    parts = [summarise(frame[place : place + 90], schema) for place in range(0, 300, 90)]
    assert merge(schema, parts) == whole
    assert load_summary(whole.to_bytes()) == whole
    kinds = dict(zip(frame["request_id"], frame["predicted"], strict=True))
    drawn = [CLASSES[kind] for kind in whole.reservoir.predicted]
    assert drawn == [kinds[name] for name in whole.reservoir.ids]


@pytest.mark.slow
def test_the_writer_logs_what_the_scorer_does(watch: Watch, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    frame = watch.frame(watch.images[:60])
    with open_writer(
        url,
        model=WHO.name,
        version=WHO.version,
        digest=WHO.digest,
        classes=CLASSES,
        scalars=SCALARS,
        folder=tmp_path / "spool",
    ) as writer:
        for row in frame.to_dict("records"):
            statistics = {name: row[name] for name in frame.columns[7:12]}
            assert writer.record(
                row["probabilities"],
                row["embedding"],
                statistics,
                request_id=row["request_id"],
                time=row["time"].to_pydatetime(),
                predicted=row["predicted"],
            )
        assert not writer.record([0.1, 0.9], row["embedding"], statistics, predicted="spot")
        assert not writer.record(row["probabilities"], row["embedding"], statistics, predicted="dog")
    read = InferenceLog(url).read(WHO.name, end=datetime(2026, 2, 1, tzinfo=UTC))
    assert read["predicted"].tolist() == frame["predicted"].tolist()
    np.testing.assert_array_equal(
        np.stack(read["probabilities"].tolist()), np.stack(frame["probabilities"].tolist())
    )
    assert InferenceLog(url).append(frame) == 0
    settings = replace(PARAMS, min_rows=50)
    assert judge(read, watch.reference, settings, window="w").status == "ok"
