"""Rule `data`: the evidence was measured on images that the policy names."""

from typing import Literal

from pydantic import Field

from resnet_ops_registry.common.frozen import Sha256
from resnet_ops_registry.rules.base import Case, Rule, RuleResult

__all__ = ["Data"]


class Data(Rule):
    """A split must be one of these sets of images, with these true classes.

    A number says nothing where whoever measured it chose the images.
    """

    rule: Literal["data"]
    split: str = Field(min_length=1, max_length=100, description="whose images are asked about, such as test")
    images: dict[str, Sha256] = Field(
        min_length=1,
        max_length=100,
        description="registered sets by name: `outcomes.images_digest` over images and true classes",
    )

    def judge(self, case: Case) -> RuleResult:
        outcomes = case.evidence.outcomes.get(self.split) or case.evidence.scores.get(self.split)
        needed = " or ".join(self.images)
        if outcomes is None:
            reason = f"the evidence does not say on which images of split {self.split} it was measured"
            return self.result(False, self.split, "unknown", needed, reason)
        known = next((name for name, digest in self.images.items() if digest == outcomes.images), None)
        if known is None:
            reason = f"{self.split} is {outcomes.n:,} images {outcomes.images[:12]}, which are not {needed}"
            return self.result(False, self.split, outcomes.images, needed, reason)
        return self.result(
            True, self.split, known, needed, f"{self.split} is {known} ({outcomes.n:,} images)"
        )
