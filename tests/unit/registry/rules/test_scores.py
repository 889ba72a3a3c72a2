"""Scores of images are compared by a test that holds its error, and are evidence of version 2."""

import base64
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from resnet_ops.errors import DataError, EvidenceError
from resnet_ops_registry.attestations.evidence import (
    EVIDENCE_TYPE,
    EVIDENCE_TYPE_2,
    Headline,
    Metric,
    Outcomes,
)
from resnet_ops_registry.attestations.outcomes import pack_scores, read_outcomes
from resnet_ops_registry.attestations.predicates import predicate_type, read_predicate
from resnet_ops_registry.rules.paired_scores import betting_p
from tests.unit.registry.conftest import EvidenceMaker
from tests.unit.registry.judging import MCNEMAR, case, judged
from tests.unit.registry.rules.test_comparison_rule import champion

IMAGES = "d" * 64
HEADLINE = Headline(metric="test.miou", chosen_by="validation.miou", label="mIoU")


def scored(scores: np.ndarray) -> Outcomes:
    return pack_scores(IMAGES, scores)


def test_scores_come_back_to_a_65535th() -> None:
    scores = np.random.default_rng(0).random(1000)
    kept = scored(scores).score_bytes()
    assert kept is not None
    assert np.abs(np.frombuffer(kept, ">u2") / 65535 - scores).max() <= 0.5 / 65535


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -0.01, 1.01])
def test_what_is_no_score_is_refused_and_not_made_one(tmp_path: Path, wrong: float) -> None:
    with pytest.raises(DataError, match="from 0 to 1"):
        scored(np.array([0.5, wrong]))
    (tmp_path / "p.csv").write_text(f"index,actual,predicted,score,asked\n3,spot,spot,{wrong},m1\n")
    (tmp_path / "m.csv").write_text("index,split,sha256,class_name\n3,test,x,spot\n")
    with pytest.raises(DataError, match="from 0 to 1"):
        read_outcomes(tmp_path / "p.csv", tmp_path / "m.csv", "test")


def test_many_scores_are_compared_in_little_memory() -> None:
    differences = np.random.default_rng(0).uniform(-0.1, 0.1, 100_000)
    tracemalloc.start()
    assert betting_p(differences, -0.01) < 0.001
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert highest < 10_000_000


@pytest.mark.parametrize("scores", ["", base64.b64encode(b"\0" * 3).decode(), "AA=", "****"])
def test_scores_of_another_length_or_form_are_malformed(scores: str) -> None:
    with pytest.raises(ValidationError):
        Outcomes(images=IMAGES, n=2, scores=scores)


def test_outcomes_are_bits_or_scores() -> None:
    bits, scores = base64.b64encode(b"\xc0").decode(), base64.b64encode(b"\0" * 4).decode()
    for wrong in ({}, {"right": bits, "scores": scores}, {"scores": scores, "starts": bits}):
        with pytest.raises(ValidationError):
            Outcomes.model_validate({"images": IMAGES, "n": 2, **wrong})


def test_evidence_with_a_task_is_of_version_2_and_other_evidence_as_it_was(
    make_evidence: EvidenceMaker,
) -> None:
    first = make_evidence()
    assert predicate_type(first) == EVIDENCE_TYPE
    assert not {"task", "headline"} & first.as_signed().keys()
    second = first.model_copy(
        update={
            "task": "segmentation",
            "headline": HEADLINE,
            "metrics": {"test.miou": Metric(value=0.8, n=4)},
            "outcomes": {"test": scored(np.full(4, 0.8))},
        }
    )
    assert predicate_type(second) == EVIDENCE_TYPE_2
    assert (first.compared_by.metric, second.compared_by.metric) == ("test.top1", "test.miou")
    assert read_predicate(EVIDENCE_TYPE_2, second.as_signed()) == second
    assert read_predicate(EVIDENCE_TYPE, first.as_signed()) == first
    for uri, said in ((EVIDENCE_TYPE, second), (EVIDENCE_TYPE_2, first)):
        with pytest.raises(EvidenceError, match="do not"):
            read_predicate(uri, said.as_signed())


def test_scores_are_read_from_the_files_of_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv").write_text(
        "index,path,actual,predicted,score,asked\n3,a,spot,spot,0.5,m1\n5,b,spot,none,1.0,m2\n"
    )
    rows = ["index,split,sha256,class_name", "3,test,x,spot", "4,train,y,spot", "5,test,z,spot"]
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    found = read_outcomes(tmp_path / "predictions.csv", tmp_path / "manifest.csv", "test")["test"]
    assert found.score_bytes() == np.array([32768, 65535], ">u2").tobytes()
    (tmp_path / "predictions.csv").write_text(
        "index,path,actual,predicted,score,asked\n3,a,spot,spot,0.5,m9\n5,b,spot,none,1.0,m2\n"
    )
    other = read_outcomes(tmp_path / "predictions.csv", tmp_path / "manifest.csv", "test")["test"]
    assert other.images != found.images  # another mask is another question


@pytest.mark.parametrize("margin", [0.02, 0.05])
@pytest.mark.parametrize("kind", ["alike", "rare", "wide"])
def test_a_candidate_that_is_just_too_bad_passes_no_more_often_than_alpha(kind: str, margin: float) -> None:
    """2,000 simulated comparisons each, at the edge of the null hypothesis; the bound is alpha itself."""
    rng, n = np.random.default_rng(0), 100
    passed = 0
    for _ in range(2000):
        if kind == "alike":
            differences = rng.normal(-margin, 0.05, n).clip(-1, 1)
        elif kind == "rare":  # a little better nearly always, and rarely much worse
            lost = rng.random(n) < 2 * margin
            differences = np.where(
                lost,
                -0.5 - margin,
                (0.5 + margin) * 2 * margin / (1 - 2 * margin) - margin / (1 - 2 * margin),
            )
        else:
            differences = np.where(rng.random(n) < (1 - margin) / 2, 1.0, -1.0)
        passed += betting_p(differences, -margin) <= 0.05
    assert passed / 2000 <= 0.05


def test_an_equal_candidate_passes_with_enough_images_and_a_worse_one_never() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, 200)
    assert betting_p(noise, -0.05) <= 0.05
    assert betting_p(noise - 0.1, -0.05) > 0.5
    assert betting_p(np.zeros(20), -0.05) > 0.05
    assert betting_p(np.full(200, 0.2), 0.0) <= 0.001


def test_the_rule_compares_scores_and_says_so() -> None:
    theirs = np.random.default_rng(0).beta(8, 2, 200)
    best = replace(champion([True]), evidence=case(outcomes={"test": scored(theirs)}).evidence)
    for change, passes in ((0.01, True), (-0.1, False)):
        about = case(champions=[best], outcomes={"test": scored((theirs + change).clip(0, 1))})
        found = judged(MCNEMAR, about)
        assert found.passed is passes
        assert "points of score an image" in found.measured
    bits = Outcomes(images=IMAGES, n=200, right=base64.b64encode(b"\xff" * 25).decode())
    mixed = judged(MCNEMAR, case(champions=[best], outcomes={"test": bits}))
    assert (mixed.passed, mixed.measured) == (False, "other images")
    assert "attest evaluation" in mixed.reason
    masks = judged(MCNEMAR, case(champions=[best], outcomes={"test": bits}, task="segmentation"))
    assert "attest evaluation" not in masks.reason  # which takes no masks
    assert "resnet-ops waive" in masks.reason
