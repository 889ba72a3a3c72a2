"""What can be used is documented: every command, and every setting of `params.yaml`."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import pytest
import typer

from resnet_ops.cli import build_app
from resnet_ops_pipelines import project_params

ROOT = Path(__file__).resolve().parents[2]
PROSE = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        for name, child in command.commands.items():
            if not child.hidden:
                yield from commands(child, (*words, name))
    else:
        yield " ".join(words), command


ALL_COMMANDS = dict(commands(typer.main.get_command(build_app())))
OLD_NAMES = {"monitor watch": "monitor serve", "log forget": "log purge", "events send": "webhook send"}


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_every_command_is_in_the_readme_or_the_docs_and_says_what_it_does(name: str) -> None:
    assert name in PROSE, f"document `resnet-ops {name}` in README.md or docs/"
    assert ALL_COMMANDS[name].help


def settings(shape: Any) -> Iterator[type]:
    if is_dataclass(shape) and isinstance(shape, type):
        yield shape
        for hint in get_type_hints(shape).values():
            yield from settings(hint)
    for part in get_args(shape):
        yield from settings(part)


OPTIONAL: dict[tuple[str, str], object] = {
    ("Recipe", "imbalance"): None,
    ("Recipe", "soft_labels"): False,
    ("EvaluateParams", "device"): "cpu",
    ("EvaluateParams", "reject"): None,
    ("EvaluateParams", "retrieval"): None,
    ("EvaluateParams", "cross_validation"): None,
    ("EvaluateParams", "score_threshold"): None,
    ("SplitParams", "by_time"): None,
    ("OperatingPointParams", "partial_auc"): (),
    ("OperatingPointParams", "precision_at_recall"): (),
    ("OperatingPointParams", "recall_at_precision"): (),
    ("Params", "serve"): None,
    ("DataParams", "task"): "classification",
    ("DataParams", "segmentation"): None,
    ("DataParams", "depth"): 8,
    ("DataParams", "detection"): None,
    ("DataParams", "tiles"): None,
}
"""Settings that a file need not have, with what that means: nothing is what there was before them, and stays so."""
SECTIONS = list(dict.fromkeys(settings(project_params.Params)))


@pytest.mark.parametrize("shape", SECTIONS, ids=lambda shape: shape.__name__)
def test_every_settings_class_says_where_it_stands_and_has_no_default(shape: type) -> None:
    assert shape.__doc__
    assert not shape.__doc__.startswith(f"{shape.__name__}("), "a docstring of its own"
    for field in fields(shape):
        if (shape.__name__, field.name) in OPTIONAL:
            assert field.default is OPTIONAL[shape.__name__, field.name]
            continue
        default = field.default, field.default_factory
        assert all("MISSING" in repr(value) for value in default), (
            f"{field.name}: DVC cannot see a default in code"
        )


def test_every_setting_explains_itself() -> None:
    undocumented = []
    for shape in SECTIONS:
        body = ast.parse(inspect.getsource(shape)).body[0]
        assert isinstance(body, ast.ClassDef)
        for here, after in zip(body.body, [*body.body[1:], None], strict=True):
            explained = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(here, ast.AnnAssign) and not explained:
                undocumented.append(f"{shape.__name__}.{ast.unparse(here.target)}")
    obvious = {"Params"}
    assert [
        name for name in undocumented if name.split(".")[0] not in obvious and "__pydantic" not in name
    ] == []


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_a_command_goes_by_its_old_name_for_one_more_release(old: str, new: str) -> None:
    found = []
    for name in (old, new):
        command = typer.main.get_command(build_app())
        for word in name.split():
            command = command.commands[word]  # type: ignore[attr-defined]
        found.append(command)
    assert found[0].callback is not None
    assert [each.name for each in found[0].params] == [each.name for each in found[1].params]
    assert found[0].help == found[1].help
