"""Run by the Python of an environment: every command of `resnet-ops` and every module of a stage; prints JSON.

Each command runs with --help and with made-up words, all of them in one process, because importing MLflow takes
seconds. What a command would replace this process by, is not run.
"""

import contextlib
import io
import json
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer

import resnet_ops_pipelines
from resnet_ops.cli import build_app, main

WORDS = {
    "version": "1",
    "file": "params.yaml",
    "weights": "params.yaml",
    "before": "2026-01-31T08:00Z",
    "until": "2099-01-31",
}
"""What parameters are given that not any word would do for, by their name."""
CHOSEN = {"drift judge": ["--window", "clean"]}
"""Options without which a command would not begin."""


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*words, name))


def made_up(command: Any) -> list[str]:
    required = [each for each in command.params if each.required]
    given = [(each, WORDS.get(each.name, "unknown")) for each in required]
    options = [
        word for each, value in given if each.param_type_name == "option" for word in (each.opts[0], value)
    ]
    return [*options, *(value for each, value in given if each.param_type_name == "argument")]


def run(words: Sequence[str], program: Callable[[], object]) -> tuple[int | str, str]:
    """The exit status, and what was printed, as Python itself would end the program."""
    printed = io.StringIO()
    sys.argv = list(words)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            program()
        except SystemExit as ended:
            return ended.code or 0, printed.getvalue()
        except BaseException as error:  # noqa: BLE001  as Python does at last
            sys.excepthook(type(error), error, error.__traceback__)
            return 1, printed.getvalue()
    return 0, printed.getvalue()


def replaced(*command: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    os.execv = replaced  # type: ignore[assignment]
    os.environ["RESNET_OPS_ALERT_URLS"] = "json://localhost"
    found = {}
    for words, command in commands(typer.main.get_command(build_app())):
        name = " ".join(words)
        found[f"{name} --help"] = run(["resnet-ops", *words, "--help"], main)
        if not hasattr(command, "commands"):
            found[name] = run(["resnet-ops", *words, *CHOSEN.get(name, made_up(command))], main)
    for file in sorted(Path(resnet_ops_pipelines.__path__[0]).glob("*_*.py")):
        if file.stem.startswith("_"):
            continue
        words = (str(file), *(["--member", "resnet20"] if "--member" in file.read_text() else []))
        module = f"resnet_ops_pipelines.{file.stem}"
        for name in [name for name in sys.modules if name.startswith("resnet_ops_pipelines")]:
            del sys.modules[name]  # a stage is a process of its own, which imports the package first
        found[file.stem] = run(words, partial(runpy.run_module, module, run_name="__main__"))
    json.dump(found, sys.stdout)
