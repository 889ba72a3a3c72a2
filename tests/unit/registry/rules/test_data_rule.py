"""Rule `data`: on which images the evidence was measured."""

import pytest

from resnet_ops_registry.attestations.evidence import Outcomes
from tests.unit.registry.judging import case, judged, problem_of

OURS, OTHERS = "a" * 64, "b" * 64
RULE = f"rule: data, split: test, images: {{benchmark-2026: {OURS}, older: {'c' * 64}}}"


def outcomes(images: str) -> dict[str, Outcomes]:
    return {"test": Outcomes(images=images, n=8, right="/w==")}


def test_evidence_on_a_registered_set_of_images_passes_and_says_which() -> None:
    result = judged(RULE, case(outcomes=outcomes(OURS)))
    assert (result.passed, result.measured) == (True, "benchmark-2026")


def test_evidence_on_other_images_is_refused_and_their_digest_told() -> None:
    result = judged(RULE, case(outcomes=outcomes(OTHERS)))
    assert (result.passed, result.measured) == (False, OTHERS)
    assert result.reason == "test is 8 images bbbbbbbbbbbb, which are not benchmark-2026 or older"


@pytest.mark.parametrize("found", [{}, {"validation": outcomes(OURS)["test"]}])
def test_evidence_that_does_not_say_on_which_images_is_refused(found: dict[str, Outcomes]) -> None:
    result = judged(RULE, case(outcomes=found))
    assert (result.passed, result.measured) == (False, "unknown")


@pytest.mark.parametrize(
    "images", ["{}", "{x: abc}", f"{{x: {'A' * 64}}}", "[a]", f"{{x: md5:{'a' * 32}}}", "null"]
)
def test_a_set_of_images_is_named_by_its_sha256(images: str) -> None:
    assert "images" in problem_of(f"rule: data, split: test, images: {images}")


def test_a_set_with_other_true_classes_is_another_set() -> None:
    from resnet_ops_registry.attestations.outcomes import images_digest

    pairs = [("1" * 64, "cat"), ("2" * 64, "dog")]
    swapped = [("1" * 64, "dog"), ("2" * 64, "cat")]
    rule = RULE.replace(OURS, images_digest(pairs))
    assert judged(rule, case(outcomes=outcomes(images_digest(pairs)))).passed
    assert not judged(rule, case(outcomes=outcomes(images_digest(swapped)))).passed
    assert not judged(rule, case(outcomes=outcomes(images_digest(pairs[:1])))).passed
