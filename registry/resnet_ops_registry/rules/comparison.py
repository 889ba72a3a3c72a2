"""Rule `comparison`: against the champion, image by image."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from resnet_ops_registry.attestations.evidence import (
    MLFLOW,
    SCORE_STEPS,
    Evidence,
    Outcomes,
    show_number,
)
from resnet_ops_registry.rules.base import Case, Champion, Rule, RuleResult

__all__ = ["Comparison"]


class Comparison(Rule):
    """On the same test images, not worse than the champion by more than `margin`, or better by more than it.

    Shown, not assumed: the null hypothesis is that the candidate is too bad, and it must be rejected at `alpha`. Images
    that come in groups, such as several of one patient, count for as many single ones as they are worth. Where images
    have scores instead of right or wrong, the test is `paired_scores.betting_p`, whatever `method` says.
    """

    rule: Literal["comparison"]
    split: str = Field(
        min_length=1,
        max_length=100,
        description="which outcomes are compared: test, or operating.sensitivity",
    )
    mode: Literal["not_worse", "better"]
    margin: float = Field(ge=0, lt=0.5, description="difference of accuracies, a fraction: 0.01 is one point")
    alpha: float = Field(gt=0, le=0.2, description="chance of passing a candidate that is just too bad")
    method: Literal["mcnemar", "bootstrap"]
    without_champion: Literal["pass", "refuse"] = Field(
        description="what holds while no version has had the alias"
    )

    looks_at_champion: ClassVar[bool] = True

    @model_validator(mode="after")
    def _margin_fits_mode(self) -> "Comparison":
        if self.mode == "not_worse" and self.margin == 0:
            raise ValueError(
                "not_worse needs a margin above 0: that two models are equal can never be shown; "
                "give a margin, or use mode: better"
            )
        return self

    def judge(self, case: Case) -> RuleResult:
        if case.rollback:
            return self._result(
                True, "a rollback", f"the return to an earlier {case.target.label} is not compared"
            )
        if not case.champions:
            measured = f"no {case.target.label} yet"
            return self._result(
                self.without_champion == "pass", measured, f"there is {measured} to compare with"
            )
        others = [champion for champion in case.champions if not champion.itself]
        if not others:
            return self._result(True, "itself", f"it is {case.target.label} already")
        results = [self._against(case, champion) for champion in others]
        return next((result for result in results if not result.passed), results[0])

    def _against(self, case: Case, champion: Champion) -> RuleResult:
        name, remedy = f"{case.target.label} v{champion.version}", ""
        if case.evidence.format == MLFLOW:
            remedy = "; sign predictions of both on the same ids: resnet-ops attest evidence"
        if champion.evidence is None:
            reason = f"{name} has no evidence that is believed, to compare with"
            return self._result(False, "unknown", reason + remedy)
        both = [self._outcomes(evidence) for evidence in (case.evidence, champion.evidence)]
        for whose, outcomes in zip(("the candidate", name), both, strict=True):
            if outcomes is None:
                reason = f"the evidence of {whose} has no outcomes on split {self.split}"
                return self._result(False, "unknown", reason + remedy)
        mine, other = both
        assert mine is not None
        assert other is not None
        kinds = [each.scores is None for each in (mine, other)]
        if (mine.images, mine.n, mine.starts, kinds[0]) != (other.images, other.n, other.starts, kinds[1]):
            reason = f"{name} was judged on other images"
            again = "; measure both on the same: resnet-ops attest evaluation"
            if case.evidence.task is not None:
                again = "; nothing measures it again for this task yet: resnet-ops waive, where the policy allows it"
            remedy = remedy or again
            return self._result(False, "other images", reason + remedy)
        return self._compare(name, mine, other)

    def _compare(self, name: str, mine: Outcomes, other: Outcomes) -> RuleResult:
        scores = mine.score_bytes(), other.score_bytes()
        if scores[0] is not None and scores[1] is not None:
            return self._compare_scores(name, scores[0], scores[1])
        return self._compare_bits(name, mine, other)

    def _compare_scores(self, name: str, mine: bytes, other: bytes) -> RuleResult:
        from resnet_ops_registry.rules.paired_scores import betting_p

        differences = _scores(mine) - _scores(other)
        p = betting_p(differences, -self.margin if self.mode == "not_worse" else self.margin)
        points, n = float(differences.mean()) * 100, len(differences)
        passed = p <= self.alpha
        measured = f"{points:+.2f} points of score an image against {name} (n {n}; p={p:.3f})"
        verb = "is" if passed else "is not shown to be"
        return self._result(passed, measured, f"{self.split} {measured} {verb} {self._wanted()}")

    def _compare_bits(self, name: str, mine: Outcomes, other: Outcomes) -> RuleResult:
        from resnet_ops_registry.rules import paired

        right, theirs = _unpack(mine.bits(), mine.n), _unpack(other.bits(), mine.n)
        won, lost = int((right & ~theirs).sum()), int((theirs & ~right).sum())
        difference = -self.margin if self.mode == "not_worse" else self.margin
        counts, of = (won, lost, mine.n), f"{mine.n}"
        if (starts := mine.start_bits()) is not None:
            groups = np.cumsum(_unpack(starts, mine.n)) - 1
            counts = paired.single_images(right.astype(int) - theirs, groups, self.alpha)
            of = f"{mine.n} in {groups[-1] + 1} groups, worth {counts[2]} single images"
        p = (
            paired.exact_p(*counts, difference, self.alpha)
            if self.method == "mcnemar"
            else paired.bootstrap_p(*counts, difference)
        )
        points = (won - lost) / mine.n * 100
        measured = f"{points:+.2f} points against {name} ({won} won, {lost} lost of {of}; p={p:.3f})"
        passed = p <= self.alpha
        verb = "is" if passed else "is not shown to be"
        what = self.split if self.split.startswith("operating.") else f"{self.split} accuracy"
        return self._result(passed, measured, f"{what} {measured} {verb} {self._wanted()}")

    def _result(self, passed: bool, measured: str, reason: str) -> RuleResult:
        needed = f"{self._wanted()} (alpha {show_number(self.alpha)})"
        return self.result(passed, f"{self.split} against champion", measured, needed, reason)

    def _wanted(self) -> str:
        points = show_number(self.margin * 100)
        if self.mode == "not_worse":
            return f"at most {points} points worse"
        return f"more than {points} points better" if self.margin else "better"

    def _outcomes(self, evidence: Evidence) -> Outcomes | None:
        return evidence.outcomes.get(self.split)


def _scores(packed: bytes) -> np.ndarray:
    """(n,) fractions."""
    return np.frombuffer(packed, ">u2") / SCORE_STEPS


def _unpack(packed: bytes, n: int) -> np.ndarray:
    """(n,) bool."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=n).astype(bool)
