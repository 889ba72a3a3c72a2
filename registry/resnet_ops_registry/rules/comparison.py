"""Rule `comparison`: against the champion, image by image."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from resnet_ops_registry.attestations.evidence import MLFLOW, Evidence, Outcomes, Scores, show_number
from resnet_ops_registry.rules.base import Case, Champion, Rule, RuleResult

__all__ = ["Comparison"]


class Comparison(Rule):
    """On the same test images, not worse than the champion by more than `margin`, or better by more than it.

    Shown, not assumed: the null hypothesis is that the candidate is too bad, and it must be rejected at `alpha`. Images
    that come in groups, such as several of one patient, count for as many single ones as they are worth. Answers that
    are not just right or wrong are compared by their scores.
    """

    rule: Literal["comparison"]
    split: str = Field(
        min_length=1,
        max_length=100,
        description="which outcomes are compared: test, or operating.sensitivity",
    )
    mode: Literal["not_worse", "better"]
    margin: float = Field(
        ge=0, lt=0.5, description="difference of accuracies or mean scores, a fraction: 0.01 is one point"
    )
    alpha: float = Field(gt=0, le=0.2, description="chance of passing a candidate that is just too bad")
    method: Literal["mcnemar", "bootstrap", "student"] = Field(
        description="student for scores, the others for right and wrong answers"
    )
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
        both = [self._answers(evidence) for evidence in (case.evidence, champion.evidence)]
        for whose, answers, evidence in zip(
            ("the candidate", name), both, (case.evidence, champion.evidence), strict=True
        ):
            if answers is None:
                reason = (
                    f"the evidence of {whose} has no {self._kind} on split {self.split}{self._hint(evidence)}"
                )
                return self._result(False, "unknown", reason + remedy)
        mine, other = both
        assert mine is not None
        assert other is not None
        if _images(mine) != _images(other):
            reason = f"{name} was judged on other images"
            remedy = remedy or "; measure both on the same: resnet-ops attest evaluation"
            return self._result(False, "other images", reason + remedy)
        if isinstance(mine, Scores) and isinstance(other, Scores):
            return self._compare_scores(name, mine, other)
        assert isinstance(mine, Outcomes)
        assert isinstance(other, Outcomes)
        return self._compare(name, mine, other)

    def _compare_scores(self, name: str, mine: Scores, other: Scores) -> RuleResult:
        from resnet_ops_registry.rules import paired

        differences = (_levels(mine) - _levels(other)) / 255
        difference = -self.margin if self.mode == "not_worse" else self.margin
        p = paired.student_p(differences, difference)
        better, worse = int((differences > 0).sum()), int((differences < 0).sum())
        counted = f"{better} better, {worse} worse of {mine.n}"
        return self._judged(name, float(differences.mean()) * 100, counted, p, "mean score of an image")

    def _compare(self, name: str, mine: Outcomes, other: Outcomes) -> RuleResult:
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
        points, counted = (won - lost) / mine.n * 100, f"{won} won, {lost} lost of {of}"
        return self._judged(name, points, counted, p, "accuracy")

    def _judged(self, name: str, points: float, counted: str, p: float, what: str) -> RuleResult:
        measured = f"{points:+.2f} points against {name} ({counted}; p={p:.3f})"
        passed = p <= self.alpha
        verb = "is" if passed else "is not shown to be"
        subject = self.split if self.split.startswith("operating.") else f"{self.split} {what}"
        return self._result(passed, measured, f"{subject} {measured} {verb} {self._wanted()}")

    def _result(self, passed: bool, measured: str, reason: str) -> RuleResult:
        needed = f"{self._wanted()} (alpha {show_number(self.alpha)})"
        return self.result(passed, f"{self.split} against champion", measured, needed, reason)

    def _wanted(self) -> str:
        points = show_number(self.margin * 100)
        if self.mode == "not_worse":
            return f"at most {points} points worse"
        return f"more than {points} points better" if self.margin else "better"

    @property
    def _kind(self) -> str:
        return "scores" if self.method == "student" else "outcomes"

    def _answers(self, evidence: Evidence) -> Outcomes | Scores | None:
        return (evidence.scores if self.method == "student" else evidence.outcomes).get(self.split)

    def _hint(self, evidence: Evidence) -> str:
        if self.method != "student" and self.split in evidence.scores:
            return ", but scores; write in the policy method: student"
        if self.method == "student" and self.split in evidence.outcomes:
            return ", but outcomes; write in the policy method: mcnemar"
        return ""


def _images(answers: Outcomes | Scores) -> tuple[str, int, str | None]:
    return answers.images, answers.n, answers.starts if isinstance(answers, Outcomes) else None


def _levels(scores: Scores) -> np.ndarray:
    """(n,) 0 to 255."""
    return np.frombuffer(scores.bytes(), np.uint8).astype(float)


def _unpack(packed: bytes, n: int) -> np.ndarray:
    """(n,) bool."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=n).astype(bool)
