"""Average precision and recall: equal to pycocotools' own, and of resamples equal to measuring these."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest

from resnet_ops.tasks.detection.average_precision import average_precision, recall
from resnet_ops.tasks.detection.boxes import Labels
from resnet_ops.tasks.detection.detections import Detections
from resnet_ops.tasks.detection.matching import SIZES, match
from tests.unit.core.tasks.detection.scenes import make_scenes

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")


def of_coco(labels: Labels, detections: Detections) -> Any:
    """pycocotools' arrays `precision` (T, R, K, A, M) and `recall` (T, K, A, M)."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": place + 5, "name": name} for place, name in enumerate(labels.classes)]
    for place, image in enumerate(labels.images):
        truth["images"].append({"id": place})
        for box, kind, crowd, area in zip(image.boxes, image.classes, image.crowd, image.areas, strict=True):
            sides = [*box[:2], *(box[2:] - box[:2])]
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": place,
                    "category_id": int(kind) + 5,
                    "bbox": sides,
                }
                | {"area": area, "iscrowd": int(crowd)}
            )
    columns = (detections.images, detections.classes, detections.boxes, detections.scores)
    answers = [
        {"image_id": int(image), "category_id": int(kind) + 5, "score": score}
        | {"bbox": [*box[:2], *(box[2:] - box[:2])]}
        for image, kind, box, score in zip(*columns, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(answers), "bbox")
        judge.evaluate()
        judge.accumulate()
    return judge.eval


SCENES = [
    pytest.param({}, id="plain"),
    pytest.param({"tied": True}, id="ties"),
    pytest.param({"crowds": True}, id="crowds"),
    pytest.param({"tied": True, "crowds": True, "decimals": 2}, id="all of it"),
    pytest.param({"found": 0.0}, id="nothing found"),
]


@pytest.mark.parametrize("kind", SCENES)
def test_every_class_size_and_overlap_is_that_of_pycocotools(kind: dict[str, Any]) -> None:
    labels, detections = make_scenes(30, **kind)
    theirs, mine = of_coco(labels, detections), match(labels, detections)
    once = np.ones((1, len(labels.images)), np.int64)
    for size_place, size in enumerate(SIZES):
        for place, matches in enumerate(mine[size]):
            expected = theirs["precision"][:, :, place, size_place, 2].mean(axis=1)
            found = average_precision(matches, once)[0]
            np.testing.assert_allclose(np.nan_to_num(found, nan=-1), expected, atol=1e-9)
            for place_most, most in enumerate((1, 10, 100)):
                shares = theirs["recall"][:, place, size_place, place_most].mean()
                assert np.nan_to_num(recall(matches, once, most), nan=-1) == pytest.approx(shares, abs=1e-9)


def test_a_resample_is_measured_as_those_images_would_be() -> None:
    labels, detections = make_scenes(20, seed=1)
    matches = match(labels, detections)["all"]
    drawn = np.random.default_rng(2).integers(0, 20, (5, 20))
    weights = np.stack([np.bincount(rows, minlength=20) for rows in drawn])
    for rows, row_weights in zip(drawn, weights, strict=True):
        again = Labels(
            labels.classes, labels.class_ids, tuple(labels.images[row] for row in sorted(rows)), ()
        )
        parts = [np.flatnonzero(detections.images == row) for row in sorted(rows)]
        picked = np.concatenate(parts)
        images = np.repeat(np.arange(20), [len(part) for part in parts])
        answers = Detections(
            images, detections.classes[picked], detections.boxes[picked], detections.scores[picked]
        )
        for mine, direct in zip(matches, match(again, answers)["all"], strict=True):
            once = np.ones((1, 20), np.int64)
            np.testing.assert_allclose(
                average_precision(mine, row_weights[None]), average_precision(direct, once), atol=1e-12
            )
            np.testing.assert_allclose(recall(mine, row_weights[None]), recall(direct, once), atol=1e-12)


def test_no_more_than_a_hundred_detections_of_an_image_count() -> None:
    labels, _ = make_scenes(1, seed=4)
    (image,) = labels.images
    assert len(image.boxes)
    answers = Detections(
        np.zeros(101, np.int64),
        np.full(101, image.classes[0]),
        np.concatenate([np.full((100, 4), [400.0, 400, 410, 410]), image.boxes[:1]]),
        np.concatenate([np.full(100, 0.9), [0.1]]),
    )
    matches = match(labels, answers)["all"][image.classes[0]]
    assert len(matches.score) == 100
    assert not matches.hit.any()
