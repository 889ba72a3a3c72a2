"""The house: no module imports in a circle, and rooms and files are as large as a reader can survey."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

from tests.unit.project_imports import ROOT, imported_by, product_modules

MOST_FILES, MOST_LINES, MEDIAN_LINES = 25, 400, 150
CODE = ("resnet_ops", "registry", "monitoring", "pipelines", "benchmarks", "tests")
PRODUCT = CODE[:4]


def _files(*tops: str) -> list[Path]:
    return [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]


def _circle(imports: dict[str, set[str]]) -> list[str]:
    """The modules of one circle, in the order of their imports; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@pytest.mark.slow
def test_no_module_imports_itself_through_others_not_even_inside_a_function() -> None:
    assert _circle({module: imported_by(module) for module in product_modules()}) == []


def test_a_circle_of_imports_is_found() -> None:
    imports = {module: set(imported_by(module)) for module in product_modules()}
    imports["resnet_ops.errors"].add("resnet_ops_registry.gate.gate")
    assert {"resnet_ops.errors", "resnet_ops_registry.gate.gate"} <= set(_circle(imports))


def test_a_room_holds_what_a_reader_can_survey() -> None:
    rooms: dict[Path, int] = {}
    for path in _files(*CODE):
        rooms[path.parent] = rooms.get(path.parent, 0) + 1
    full = {str(room.relative_to(ROOT)): files for room, files in rooms.items() if files > MOST_FILES}
    assert full == {}


@pytest.mark.parametrize("top", CODE)
def test_no_file_is_too_long_to_read(top: str) -> None:
    lines = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in _files(top)}
    assert {name: number for name, number in lines.items() if number > MOST_LINES} == {}


def test_most_files_of_the_product_are_short() -> None:
    assert median(path.read_text().count("\n") for path in _files(*PRODUCT)) < MEDIAN_LINES
