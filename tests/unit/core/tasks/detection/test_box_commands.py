"""Commands about boxes: what they say, and their status."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.errors import ConfigError, DataError
from tests.unit.core.tasks.detection.label_files import coco_content, write_coco


def run(*arguments: str) -> str:
    result = CliRunner().invoke(build_app(), ["boxes", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def scene(root: Path) -> tuple[str, str]:
    """Files of truth and of detections: one right box at .8, a wrong one at .4."""
    content = coco_content()
    content["annotations"] = content["annotations"][:1]
    answers = root / "answers.json"
    boxes = [{"bbox": [1, 2, 10, 20], "score": 0.8}, {"bbox": [20, 2, 10, 20], "score": 0.4}]
    answers.write_text(json.dumps([{"image_id": 7, "category_id": 3} | box for box in boxes]))
    return str(write_coco(root / "truth.json", content)), str(answers)


def test_labels_are_counted_or_their_faults_listed(tmp_path: Path) -> None:
    truth, _ = scene(tmp_path)
    assert json.loads(run("check", truth, "--json"))["objects"] == {"cat": 0, "dog": 1}
    assert "2 images, 1 objects" in run("check", truth)
    with pytest.raises(DataError, match=r"a\.png is not in"):
        run("check", truth, "--images", str(tmp_path))
    with pytest.raises(DataError, match="unknown class 'dog'"):
        run("check", truth, "--classes", "cat, bird")


def test_detections_are_measured_without_a_signature(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")
    truth, answers = scene(tmp_path)
    found = json.loads(run("measure", answers, truth, "--json", "--threshold", "0.3"))
    assert found["test.ap50"]["value"] == 1
    assert found["test.precision"]["value"] == 0.5
    assert "test.ap50 1.0000" in run("measure", answers, truth)


def test_a_score_is_chosen_and_printed_as_the_option_that_takes_it(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")
    truth, answers = scene(tmp_path)
    assert run("threshold", answers, truth) == "--threshold 0.8\n"
    chosen = run("threshold", answers, truth, "--aim", "precision", "--at-least", "0.5", "--json")
    assert json.loads(chosen) == {"threshold": 0.4}
    with pytest.raises(ConfigError, match="--at-least"):
        run("threshold", answers, truth, "--aim", "recall")
