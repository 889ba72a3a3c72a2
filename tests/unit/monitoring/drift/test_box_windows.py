"""Windows of boxes: logged, judged and estimated as those of masks are, from the version's own score on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from resnet_ops.tasks.task import CONFIDENCE
from resnet_ops.tasks.watching.at_threshold import at_threshold
from resnet_ops.tasks.watching.watching import watched
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.held_out import held_out_reference
from resnet_ops_monitoring.drift.perturbations import PERTURBATIONS
from resnet_ops_monitoring.drift.reference import Reference, accept_window, load_reference
from resnet_ops_monitoring.drift.trials import trials
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.settings.drift import ReferenceParams
from tests.unit.core.tasks.box_model import CLASSES, BoxModel, drawn
from tests.unit.monitoring.conftest import PARAMS

WHO = ModelIdentity("box-finder", "1", "d" * 64)
SCALARS = ("boxes", "mean area", CONFIDENCE, "share of bright", "share of dark")
MODEL = at_threshold(BoxModel(), 0.4)


@dataclass(frozen=True)
class Watch:
    """A version with its reference, and images that are in neither."""

    reference: Reference
    images: np.ndarray

    def frame(self, images: np.ndarray) -> pd.DataFrame:
        start = datetime(2026, 1, 5, 8, tzinfo=UTC)
        times = [start + timedelta(seconds=place) for place in range(len(images))]
        return Scorer(MODEL, WHO).score(images, [f"r{place}" for place in range(len(images))], times)


@pytest.fixture(scope="module")
def watch() -> Watch:
    params = ReferenceParams(reference_rows=300, perturbed_images=20)
    test = drawn(1000).split("test")
    made = held_out_reference(MODEL, WHO, test, params, 0, lambda done, total: None)
    return Watch(made, drawn(1000, seed=1).images[:300])


@pytest.mark.slow
def test_a_reference_of_boxes_knows_its_scores_its_numbers_and_from_which_score_on(
    watch: Watch, tmp_path: Path
) -> None:
    assert watch.reference.schema.scalars == SCALARS
    assert watch.reference.classes == CLASSES
    assert watch.reference.measured == "F1 of an image"
    assert watch.reference.accuracy(0.95).value == 1.0
    watch.reference.save(tmp_path / "reference.parquet")
    again = load_reference(tmp_path / "reference.parquet")
    assert again.schema.score_threshold == 0.4
    assert again.schema.digest == watch.reference.schema.digest
    again.save(tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "reference.parquet").read_bytes()
    frame = watch.frame(watch.images[:150])
    accepted = accept_window(again, frame, by="ann", why="new lamp", at=datetime.now(UTC))
    assert accepted.schema.score_threshold == 0.4


@pytest.mark.slow
def test_a_window_like_the_reference_is_ok_and_its_score_is_estimated(watch: Watch) -> None:
    verdict = judge(watch.frame(watch.images), watch.reference, PARAMS, window="w")
    assert verdict.status == "ok"
    assert verdict.estimated is not None
    assert verdict.estimated.value > 0.9


@pytest.mark.slow
def test_what_hides_objects_alarms_with_the_number_that_shifted(watch: Watch) -> None:
    verdict = judge(watch.frame((watch.images * 0.7).astype(np.uint8)), watch.reference, PARAMS, window="w")
    assert verdict.status == "alarm"
    (found,) = (each for each in verdict.findings if each.signal == "scalars")
    assert found.fired
    assert found.column in SCALARS
    assert verdict.estimated is not None
    assert verdict.estimated.value < 0.8


def test_boxes_follow_a_moved_camera_and_what_they_cannot_follow_is_left_out() -> None:
    test = drawn(60).split("test")
    known = watched(MODEL, test.images, test.asked)
    steps: list[tuple[int, int]] = []
    tried = list(
        trials(
            MODEL,
            test.images,
            test.labels,
            test.asked,
            known,
            each=4,
            seed=0,
            progress=lambda done, total: steps.append((done, total)),
        )
    )
    kinds = {each.kind for each in tried}
    assert {kind for kind, _ in PERTURBATIONS} - kinds == {
        "turned",
        "zoomed_in",
        "zoomed_out",
        "elastic_transform",
    }
    assert steps[-1][0] == steps[-1][1]
    slightly = next(each for each in tried if each.kind == "moved")
    assert slightly.scores is not None
    assert slightly.scores.mean() > 0.8
