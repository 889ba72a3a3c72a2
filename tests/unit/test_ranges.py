"""The ranges of the main packages are what docs/install.md says, and hold what was tested."""

import re
import tomllib
from itertools import chain

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.unit.project_imports import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SECTION = (ROOT / "docs/install.md").read_text().partition("## Tested ranges")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| ([\w-]+) \| (\S+) \| (\d[\d., ]*) \|$", SECTION, re.MULTILINE)
PINS: dict[str, str] = {
    canonicalize_name(name): version
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )
}


def ranges(name: str) -> set[SpecifierSet]:
    """Of a package wherever the project asks for it with a limit from above."""
    lines = chain(PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    asked = [Requirement(line) for line in lines]
    return {
        each.specifier
        for each in asked
        if canonicalize_name(each.name) == name and "<" in str(each.specifier)
    }


def test_the_table_has_the_packages_that_break_most() -> None:
    named = {name for name, _, _ in ROWS}
    assert {"mlflow", "sqlalchemy", "torch", "torchvision", "dvc", "evidently", "great-expectations"} <= named


@pytest.mark.parametrize(("name", "range_", "tested"), ROWS)
def test_a_range_is_the_projects_and_holds_what_was_tested(name: str, range_: str, tested: str) -> None:
    assert ranges(name) == {SpecifierSet(range_)}
    versions = tested.split(", ")
    assert versions[-1] == PINS[name], "the last one is that of constraints.txt"
    assert [version for version in versions if version not in SpecifierSet(range_)] == []
