"""Every line of the threat model that promises something names a test, and every test that it names is there."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`([^`]+)`")
KEPT = ("prevented", "detected")


class Line(NamedTuple):
    number: str
    outcome: str
    shown_by: str


def lines() -> Iterator[Line]:
    table = (
        (ROOT / "docs" / "threat-model.md").read_text().partition("| # | attack |")[2].partition("\n\n")[0]
    )
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 5, line
        yield Line(cells[0], cells[2], cells[4])


LINES = list(lines())
FILES = [path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py")]
NODES = [node for path in FILES for node in ast.walk(ast.parse((ROOT / path).read_text()))]
FUNCTIONS = {node.name for node in NODES if isinstance(node, ast.FunctionDef)}
# attacks that are made in a loop have their names in a table
FUNCTIONS |= {
    str(node.value) for node in NODES if isinstance(node, ast.Constant) and str(node.value).isidentifier()
}


def is_there(name: str) -> bool:
    """A file or folder of tests, or a function in one; `*` stands for any text."""
    if name.endswith(".py") or "/" in name:
        return (ROOT / name).exists() or any(path.name == name for path in FILES)
    return any(fnmatchcase(function, name) for function in FUNCTIONS)


@pytest.mark.parametrize("line", LINES, ids=[line.number for line in LINES])
def test_what_a_line_of_the_threat_model_promises_is_shown_by_tests_that_are_there(line: Line) -> None:
    named = NAMED.findall(line.shown_by)
    assert named or not line.outcome.startswith(KEPT), "a promise without a test"
    assert [name for name in named if not is_there(name)] == []


def test_the_whole_table_is_read_and_each_line_has_a_number_of_its_own() -> None:
    numbers = [line.number for line in LINES]
    assert len(numbers) > 60
    assert len(set(numbers)) == len(numbers)
    assert not is_there("test_of_a_name_that_nobody_*")
