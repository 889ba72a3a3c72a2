"""Rule `hardware`: something was measured on the hardware it stands for."""

import re
from typing import Literal

from pydantic import Field, field_validator

from resnet_ops_registry.rules.base import Case, Rule, RuleResult

__all__ = ["Hardware"]

Fact = str | int | float | bool | None


class Hardware(Rule):
    """What the evidence says of a profile's machine must match: texts as regular expressions, the rest as they are.

    A step is asked like a profile: `evaluation`, where accuracy was measured, and `export`, where an export was
    compared with what it was made from. With `formats`, versions of other formats are not asked.
    """

    rule: Literal["hardware"]
    profile: str = Field(min_length=1, max_length=100, description="such as server-cpu")
    match: dict[str, Fact] = Field(min_length=1, description="such as {cpu: 'AMD EPYC.*', cores: 2}")
    formats: list[str] | None = Field(
        default=None, min_length=1, description="such as [int8], or [weights]; without it, all are asked"
    )

    @field_validator("match")
    @classmethod
    def _expressions(cls, match: dict[str, Fact]) -> dict[str, Fact]:
        for name, wanted in match.items():
            if isinstance(wanted, str):
                try:
                    re.compile(wanted)
                except re.error as error:
                    raise ValueError(f"{name}: {wanted!r} is not a regular expression ({error})") from error
        return match

    def judge(self, case: Case) -> RuleResult:
        if self.formats is not None and case.evidence.format not in self.formats:
            return self._result(True, case.evidence.format, f"{case.evidence.format} is not asked")
        measured = case.evidence.hardware.get(self.profile)
        if measured is None:
            return self._result(
                False, "unknown", f"the evidence does not say what {self.profile} was measured on"
            )
        facts = ", ".join(f"{name} {measured.get(name, 'unknown')}" for name in self.match)
        for name, wanted in self.match.items():
            if name not in measured:
                return self._result(False, facts, f"the evidence does not say {self.profile}'s {name}")
            if not _equal(wanted, measured[name]):
                reason = f"{self.profile} was measured on {name} {measured[name]}, not {wanted}"
                return self._result(False, facts, reason)
        return self._result(True, facts, f"{self.profile} was measured on {facts}")

    def _result(self, passed: bool, measured: str, reason: str) -> RuleResult:
        needed = ", ".join(f"{name} {wanted}" for name, wanted in self.match.items())
        return self.result(passed, f"{self.profile} hardware", measured, needed, reason)


def _equal(wanted: Fact, found: Fact) -> bool:
    if isinstance(wanted, str):
        return isinstance(found, str) and re.fullmatch(wanted, found) is not None
    return type(wanted) is type(found) and wanted == found
