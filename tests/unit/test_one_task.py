"""Nothing outside of `resnet_ops.tasks` asks which task it is."""

import ast
from pathlib import Path

from tests.unit.project_imports import ROOT

NAMES = {"classification", "segmentation", "detection"}
PRODUCT = ("resnet_ops", "registry", "monitoring", "pipelines")


def _asks(source: str) -> list[str]:
    """What a module compares, matches or tests that is a task's name or class, or imports from a task's own room."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.MatchValue):
            parts = [each for each in ast.walk(node) if isinstance(each, ast.Constant)]
            found += [str(each.value) for each in parts if each.value in NAMES]
        elif isinstance(node, ast.MatchClass):
            found += [ast.unparse(node.cls)] if ast.unparse(node.cls).lower() in NAMES else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            found += [each for each in ast.unparse(node.args[1]).split(" | ") if each.lower() in NAMES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = node.module.startswith("resnet_ops.tasks.") and node.module.rpartition(".")[2] in NAMES
            found += [node.module] if inside else []
    return found


def _modules() -> list[Path]:
    tasks = ROOT / "resnet_ops/tasks"
    every = [path for top in PRODUCT for path in sorted((ROOT / top).rglob("*.py"))]
    return [path for path in every if not path.is_relative_to(tasks)]


def test_no_module_outside_asks_which_task_it_is() -> None:
    asking = {str(path.relative_to(ROOT)): _asks(path.read_text()) for path in _modules()}
    assert {path: found for path, found in asking.items() if found} == {}


def test_a_module_that_asks_is_found() -> None:
    for source in (
        "if task.name == 'segmentation':\n    pass",
        "match task:\n    case Classification():\n        pass",
        "match name:\n    case 'detection':\n        pass",
        "isinstance(task, Segmentation | Classification)",
        "from resnet_ops.tasks.heads.classification import ClassificationHead",
    ):
        assert _asks(source), source
