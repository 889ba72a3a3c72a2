"""The rule that compares a candidate with the champion, image by image."""

from collections.abc import Sequence

import numpy as np
import pytest

from resnet_ops_registry.attestations.evidence import Outcomes
from resnet_ops_registry.attestations.outcomes import pack_outcomes
from resnet_ops_registry.rules import Champion
from tests.unit.registry.attestations.test_evidence import make_evidence
from tests.unit.registry.judging import MCNEMAR, NOT_WORSE, case, judged


def outcomes(right: Sequence[bool] | np.ndarray, images: str = "2" * 64) -> dict[str, Outcomes]:
    return {"test": pack_outcomes(images, np.array(right))}


def champion(right: Sequence[bool] | np.ndarray, version: int = 7, images: str = "2" * 64) -> Champion:
    return Champion(version, False, make_evidence(outcomes=outcomes(right, images)))


BETTER = NOT_WORSE.replace("not_worse", "better").replace("0.05, alpha", "0, alpha")
ALL = [True] * 200
TEN_WRONG = [False] * 10 + [True] * 190


@pytest.mark.parametrize("method", ["mcnemar", "bootstrap"])
@pytest.mark.parametrize(
    ("text", "mine", "theirs", "passed"),
    [
        (NOT_WORSE, ALL, ALL, True),
        (NOT_WORSE, TEN_WRONG, ALL, False),
        (NOT_WORSE, [False] * 2 + [True] * 198, ALL, True),
        (BETTER, ALL, ALL, False),
        (BETTER, ALL, TEN_WRONG, True),
        (BETTER, TEN_WRONG, ALL, False),
    ],
)
def test_a_candidate_is_compared_image_by_image(
    method: str, text: str, mine: list[bool], theirs: list[bool], passed: bool
) -> None:
    about = case(champions=[champion(theirs)], outcomes=outcomes(mine))
    assert judged(text.replace("METHOD", method), about).passed is passed


@pytest.mark.parametrize(("won", "lost", "p", "passed"), [(5, 0, 0.031, True), (6, 1, 0.062, False)])
def test_alpha_is_the_limit_of_the_p_value(won: int, lost: int, p: float, passed: bool) -> None:
    mine = [True] * won + [False] * lost + ALL
    theirs = [False] * won + [True] * lost + ALL
    result = judged(
        BETTER.replace("METHOD", "mcnemar"), case(champions=[champion(theirs)], outcomes=outcomes(mine))
    )
    assert f"p={p}" in result.measured
    assert result.passed is passed


@pytest.mark.slow
def test_of_a_thousand_candidates_worse_by_the_margin_at_most_alpha_pass_the_rule() -> None:
    """Image by image, through the signed form: the whole rule, not its arithmetic alone."""
    n, margin, disagreement, draws = 200, 0.05, 0.09, 1000
    rng = np.random.default_rng(3)
    drawn = rng.random((draws, n))
    lost = drawn < (disagreement + margin) / 2
    won = drawn > 1 - (disagreement - margin) / 2
    right = rng.random((draws, n)) < 0.9
    passed = sum(
        judged(
            MCNEMAR, case(champions=[champion((theirs | b) & ~a)], outcomes=outcomes((theirs | a) & ~b))
        ).passed
        for theirs, a, b in zip(right, won, lost, strict=True)
    )
    assert 10 < passed <= 1000 * (0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000))


def grouped(right: np.ndarray, size: int, name: str = "test") -> dict[str, Outcomes]:
    starts = np.arange(len(right)) % size == 0
    return {name: pack_outcomes("2" * 64, right, starts)}


@pytest.mark.slow
def test_candidates_that_lose_whole_patients_pass_at_most_alpha_of_the_time() -> None:
    """100 patients of 8 images, of whom a candidate that is worse by the margin loses one in 20, all images of each."""
    patients, size, draws = 100, 8, 1000
    rng = np.random.default_rng(5)
    right = np.ones(patients * size, dtype=bool)
    mine = [~np.repeat(rng.random(patients) < 0.05, size) for _ in range(draws)]
    theirs = Champion(7, False, make_evidence(outcomes=grouped(right, size)))
    clustered = sum(
        judged(MCNEMAR, case(champions=[theirs], outcomes=grouped(each, size))).passed for each in mine
    )
    plain = sum(
        judged(MCNEMAR, case(champions=[champion(right)], outcomes=outcomes(each))).passed for each in mine
    )
    assert clustered <= draws * (0.05 + 2.6 * np.sqrt(0.05 * 0.95 / draws))
    assert plain > draws * 0.2, "single images would say that it is shown"


@pytest.mark.slow
@pytest.mark.parametrize(("large", "size", "single"), [(20, 20, 2000), (10, 30, 1000), (3, 100, 3000)])
def test_few_large_groups_among_many_single_images_do_not_pass_for_single_images(
    large: int, size: int, single: int
) -> None:
    """One group in 20 is lost whole, whatever its size: worse by the margin."""
    sizes, draws, rng = [size] * large + [1] * single, 200, np.random.default_rng(6)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.append(True, groups[1:] != groups[:-1])

    def told(right: np.ndarray) -> dict[str, Outcomes]:
        return {"test": pack_outcomes("2" * 64, right, starts)}

    theirs = Champion(7, False, make_evidence(outcomes=told(np.ones(len(groups), dtype=bool))))
    lost = ((rng.random(len(sizes)) < 0.05)[groups] for _ in range(draws))
    passed = sum(judged(MCNEMAR, case(champions=[theirs], outcomes=told(~each))).passed for each in lost)
    assert passed <= draws * (0.05 + 2.6 * np.sqrt(0.05 * 0.95 / draws))


def test_a_candidate_as_good_as_the_champion_passes_with_enough_patients() -> None:
    right = np.ones(400 * 5, dtype=bool)
    mine = right.copy()
    mine[::97] = False
    theirs = Champion(7, False, make_evidence(outcomes=grouped(right, 5)))
    result = judged(MCNEMAR, case(champions=[theirs], outcomes=grouped(mine, 5)))
    assert result.passed
    assert "(0 won, 21 lost of 2000 in 400 groups, worth " in result.measured


def test_images_that_are_grouped_otherwise_are_other_images() -> None:
    right = np.ones(40, dtype=bool)
    theirs = Champion(7, False, make_evidence(outcomes=grouped(right, 5)))
    result = judged(MCNEMAR, case(champions=[theirs], outcomes=grouped(right, 4)))
    assert (result.passed, "other images" in result.reason) == (False, True)


def test_sensitivity_at_each_ones_operating_point_is_compared() -> None:
    right, name = np.ones(200, dtype=bool), "operating.sensitivity"
    mine = right.copy()
    mine[:20] = False
    theirs = Champion(7, False, make_evidence(outcomes=grouped(right, 1, name)))
    rule = MCNEMAR.replace("split: test", f"split: {name}")
    assert rule != MCNEMAR
    result = judged(rule, case(champions=[theirs], outcomes=grouped(mine, 1, name)))
    assert result.passed is False
    assert result.reason.startswith(
        "operating.sensitivity -10.00 points against @champion v7 (0 won, 20 lost"
    )


def test_what_a_comparison_says_can_be_checked_by_hand() -> None:
    mine = [False] * 3 + [True] * 195 + [False, True]
    theirs = [True] * 198 + [False, False]
    result = judged(MCNEMAR, case(champions=[champion(theirs)], outcomes=outcomes(mine)))
    assert result.measured.startswith("-1.00 points against @champion v7 (1 won, 3 lost of 200; p=")
    assert result.needed == "at most 5 points worse (alpha 0.050)"


@pytest.mark.parametrize(
    ("champions", "reason"),
    [
        ([champion(ALL, images="3" * 64)], "@champion v7 was judged on other images"),
        ([champion(ALL[:-1])], "@champion v7 was judged on other images"),
        ([Champion(7, False, None)], "@champion v7 has no evidence that is believed"),
        (
            [Champion(7, False, make_evidence(outcomes={}))],
            "evidence of @champion v7 has no outcomes on split test",
        ),
        ([champion(ALL), champion(ALL, 8, "3" * 64)], "@champion v8 was judged on other images"),
        ([], "there is no @champion yet to compare with"),
    ],
)
def test_a_champion_that_cannot_be_compared_with_is_a_refusal(champions: list[Champion], reason: str) -> None:
    result = judged(MCNEMAR, case(champions=champions, outcomes=outcomes(ALL)))
    assert result.passed is False
    assert reason in result.reason


def test_a_candidate_without_outcomes_is_a_refusal() -> None:
    result = judged(MCNEMAR, case(champions=[champion(ALL)], outcomes={}))
    assert (result.passed, "candidate has no outcomes" in result.reason) == (False, True)


def test_without_a_champion_the_policy_says_what_holds() -> None:
    assert judged(MCNEMAR.replace("refuse", "pass"), case()).passed
    assert not judged(MCNEMAR, case()).passed


def test_the_champion_itself_and_a_rollback_are_not_compared() -> None:
    itself = Champion(1, True, None)
    assert judged(MCNEMAR, case(champions=[itself])).passed
    assert judged(MCNEMAR, case(champions=[champion(ALL, images="3" * 64)], rollback=True)).passed
    assert not judged(MCNEMAR, case(champions=[itself, Champion(7, False, None)])).passed
