"""What is not installed is named, with the extra that brings it; anything else stays what it was."""

import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from resnet_ops.console import explain_imports, report_errors
from resnet_ops.errors import ConfigError
from resnet_ops.extras import EXTRAS, require
from resnet_ops.messages import say, silent

PROJECT = tomllib.loads((Path(__file__).resolve().parents[3] / "pyproject.toml").read_text())["project"]


packages = cache(packages_distributions)  # it reads the records of all that is installed


@pytest.mark.slow
@pytest.mark.parametrize("module", EXTRAS)
def test_an_extra_brings_what_it_is_named_for(module: str) -> None:
    if module not in packages():
        pytest.skip(f"{module} is not installed")
    brought = {
        canonicalize_name(Requirement(text).name) for text in PROJECT["optional-dependencies"][EXTRAS[module]]
    }
    assert brought & {canonicalize_name(name) for name in packages()[module]}


def test_what_is_missing_is_named_with_every_extra_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "resnet_ops.extras.find_spec", lambda name: None if name in ("torch", "onnx") else object()
    )
    with pytest.raises(ConfigError) as caught:
        require("This", "torch", "onnx", "onnxruntime")
    assert str(caught.value) == (
        "This needs torch, onnx, not installed here. Install: pip install 'resnet-ops[train,onnx]'"
    )
    require("This", "onnxruntime")


@pytest.mark.parametrize(("task", "subject"), [("drift judge", "drift judge"), ("", "This command")])
def test_a_command_ends_with_one_line_where_an_extra_is_missing(
    task: str, subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, report_errors(task):
        raise ModuleNotFoundError("No module named 'evidently.metrics'", name="evidently.metrics")
    assert caught.value.code == 1
    install = "Install: pip install 'resnet-ops[monitoring]'"
    assert capsys.readouterr().err == f"{subject} needs evidently, not installed here. {install}\n"


def test_a_missing_module_that_no_extra_brings_keeps_its_traceback() -> None:
    with pytest.raises(ModuleNotFoundError), report_errors("task"):
        raise ModuleNotFoundError("No module named 'resnet_ops.nonsense'", name="resnet_ops.nonsense")


def test_a_script_explains_a_missing_extra_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "argv", ["/site-packages/resnet_ops_pipelines/train_model.py"])
    explain_imports()
    missing = ModuleNotFoundError("No module named 'torch'", name="torch")
    sys.excepthook(ModuleNotFoundError, missing, None)
    install = "Install: pip install 'resnet-ops[train]'"
    assert capsys.readouterr().err == f"train_model needs torch, not installed here. {install}\n"
    sys.excepthook(ValueError, ValueError("a fault"), None)
    assert "ValueError: a fault" in capsys.readouterr().err


def test_a_worker_that_does_not_lead_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with silent(True):
        say("not to be heard")
    with silent(False):
        say("epoch 1\x1b[2J")
    assert capsys.readouterr().out == "epoch 1\N{REPLACEMENT CHARACTER}[2J\n"
