"""A detector that a team trained elsewhere: measured beside its truth, signed, and judged by the gate."""

from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from resnet_ops.errors import ConfigError, DataError, GateDenied
from resnet_ops.tasks.beside_truth import Truth
from resnet_ops_registry import attest_evidence, check, promote
from resnet_ops_registry.attestations.evidence import SCORE_STEPS, read_evidence
from resnet_ops_registry.gate.policy_file import read_policy
from tests.unit.registry.conftest import Runner
from tests.unit.registry.detectors import detect, write_truth
from tests.unit.registry.team_models import TEAM, govern, make_version

pytest.importorskip("pycocotools", reason="the extra `detection` is not installed")

AP50 = "rule: threshold, metric: test.ap50, bound: low, min: 0.8"
NOT_WORSE = (
    "rule: comparison, split: test, mode: not_worse, margin: 0.03, alpha: 0.05, method: mcnemar, "
    "without_champion: pass"
)
EXAMPLE = Path(__file__).resolve().parents[4] / "policies" / "examples" / "part-detector.yaml"


def sign(version: int, missed: float, truth: Path) -> None:
    answers = detect(Path(f"{version}.json"), missed)
    attest_evidence(TEAM, version, "ci", predictions=answers, truth=Truth(truth, None, "refuse", 0.5))


@pytest.mark.slow
def test_a_worse_detector_is_refused_and_a_better_one_replaces_the_champion(client: MlflowClient) -> None:
    govern(f"{AP50}\n{NOT_WORSE}")
    truth = write_truth(Path("truth.json"))
    champion, worse, poor, better = (make_version(client, each) for each in ("c", "w", "p", "b"))
    sign(champion, 0.1, truth)
    promote(TEAM, champion, "champion")
    sign(worse, 0.16, truth)
    with pytest.raises(GateDenied, match=r"test -\d\.\d\d points of score an image against @champion v1"):
        promote(TEAM, worse, "champion")
    sign(poor, 0.4, truth)
    with pytest.raises(GateDenied, match=r"test\.ap50 0\.\d+ .*its interval's low end is below 0\.8"):
        promote(TEAM, poor, "champion")
    assert int(client.get_model_version_by_alias(TEAM, "champion").version) == champion
    sign(better, 0.05, truth)
    promote(TEAM, better, "champion")
    assert int(client.get_model_version_by_alias(TEAM, "champion").version) == better


def test_the_command_signs_what_it_measures_and_shows_it(client: MlflowClient, run: Runner) -> None:
    govern(AP50)
    version = make_version(client, "a")
    truth = write_truth(Path("truth.json"))
    answers = detect(Path("answers.json"), 0.1)
    said = run(
        "attest",
        "evidence",
        TEAM,
        str(version),
        "--predictions",
        str(answers),
        "--truth",
        str(truth),
        "--key",
        "ci",
    )
    for name in ("test.ap ", "test.ap50 ", "test.recall ", "test.precision "):
        assert name in said
    assert "passes" in said


def test_evidence_holds_scores_and_what_was_measured(client: MlflowClient) -> None:
    govern(AP50)
    version = make_version(client, "a")
    truth = Truth(write_truth(Path("truth.json")), None, "refuse", 0.5)
    found = attest_evidence(
        TEAM, version, "ci", predictions=detect(Path("a.json"), 0.1), truth=truth
    ).evidence
    assert found.outcomes["test"].n == found.metrics["data.test.images"].n == 150
    assert (found.task, found.compared_by.metric) == ("detection", "test.ap")
    assert found.metrics["test.ap50"].low is not None
    assert {"test.ap.bolt", "test.ap50.nut", "test.recall.nut", "test.image_f1"} <= found.metrics.keys()
    assert read_evidence(found.as_signed()) == found
    scores = np.frombuffer(found.outcomes["test"].score_bytes() or b"", ">u2") / SCORE_STEPS
    assert scores.mean() == pytest.approx(found.metrics["test.image_f1"].value, abs=1e-4)


@pytest.mark.slow
def test_other_boxes_are_other_images(client: MlflowClient) -> None:
    govern(NOT_WORSE)
    champion, candidate = make_version(client, "a"), make_version(client, "b")
    truth = write_truth(Path("truth.json"))
    sign(champion, 0.1, truth)
    promote(TEAM, champion, "champion")
    moved = Path("moved.json")
    moved.write_text(truth.read_text().replace('"bbox": [10,', '"bbox": [11,', 1))
    sign(candidate, 0.05, moved)
    (reason,) = check(TEAM, candidate, "champion").reasons
    assert "was judged on other images" in reason


def test_faults_in_the_truth_sign_nothing(client: MlflowClient) -> None:
    govern(AP50)
    version = make_version(client, "a")
    truth = write_truth(Path("truth.json"))
    truth.write_text(truth.read_text().replace("60, 80]", "0, 80]", 1))
    answers = detect(Path("a.json"), 0.1)
    with pytest.raises(DataError, match="the box has no area"):
        attest_evidence(TEAM, version, "ci", predictions=answers, truth=Truth(truth, None, "refuse", 0.5))
    assert "no evidence signed by a trusted pipeline key" in check(TEAM, version, "champion").reasons[0]
    found = attest_evidence(TEAM, version, "ci", predictions=answers, truth=Truth(truth, None, "drop", 0.5))
    assert any("faults were remedied (drop)" in note for note in found.notes)


def test_truth_without_predictions_is_refused(client: MlflowClient) -> None:
    govern(AP50)
    version = make_version(client, "a")
    with pytest.raises(ConfigError, match="--truth is what --predictions"):
        attest_evidence(TEAM, version, "ci", truth=Truth(Path("t.json"), None, "refuse", 0.5))


def test_the_example_of_a_policy_asks_for_boxes_and_compares_scores() -> None:
    rules = read_policy(EXAMPLE.read_text(), str(EXAMPLE)).guards[0].rules
    assert [rule.rule for rule in rules] == [*["threshold"] * 4, "comparison"]
