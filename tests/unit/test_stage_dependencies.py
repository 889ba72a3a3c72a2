"""What DVC watches of the code is what each stage runs: a stage whose code changed runs again."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.project_imports import ROOT, defines_something, file_of, used_by

WITHOUT_INFLUENCE = {
    "resnet_ops_pipelines.project_params": "reads params.yaml, whose values DVC watches",
    "resnet_ops.params": "reads params.yaml, whose values DVC watches",
    "resnet_ops_registry": "hands over what is known by its digest, or shows it; what asks it, always runs",
    "resnet_ops.console": "prints",
    "resnet_ops.errors": "has no behaviour",
    "resnet_ops.messages": "prints",
    "resnet_ops.extras": "says what to install",
    "resnet_ops.files": "writes what it is given",
    "resnet_ops.threads": "keeps the order of what it does at once",
    "resnet_ops.provenance": "tells about the machine, beside the result",
    "resnet_ops.cores": "tells about the machine, beside the result",
    "resnet_ops.instruction_sets": "tells about the machine, beside the result",
}
"""Modules whose change makes no result another one, and why."""


def _stages() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in found.items()}


STAGES = _stages()
REPEATABLE = [name for name, stage in STAGES.items() if not stage.get("always_changed")]
STATED = {"monitor_drift": "reports/windows.json"}
"""Stages that read outside of DVC, with the dependency that says in which state that is."""


def _script(stage: dict[str, Any]) -> Path:
    named = re.match(r"python -m (resnet_ops_pipelines\.\w+)", stage["cmd"])
    assert named is not None
    file = file_of(named[1])
    assert file is not None
    return file


def _code(stage: dict[str, Any]) -> list[Path]:
    """The dependencies that are code of ours."""
    code = ("pipelines/", "resnet_ops/", "monitoring/", "registry/")
    return [Path(each) for each in stage["deps"] if each.startswith(code)]


def _needed(stage: dict[str, Any]) -> set[Path]:
    script = _script(stage)
    modules = used_by(ROOT / script, WITHOUT_INFLUENCE)
    files = {file_of(module) for module in modules if defines_something(module)}
    return {script, *(file for file in files if file)}


@pytest.mark.parametrize("name", REPEATABLE)
def test_a_stage_depends_on_all_code_that_it_runs(name: str) -> None:
    stage = STAGES[name]
    watched = _code(stage)
    missing = [
        str(file)
        for file in sorted(_needed(stage))
        if not any(file.is_relative_to(dependency) for dependency in watched)
    ]
    assert missing == [], f"add to the dependencies of {name} in dvc.yaml"


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_run(name: str) -> None:
    stage = STAGES[name]
    needed = _needed(stage)
    idle = [
        str(dependency)
        for dependency in _code(stage)
        if not any(file.is_relative_to(dependency) for file in needed)
    ]
    assert idle == [], f"remove from the dependencies of {name} in dvc.yaml"


@pytest.mark.parametrize("name", sorted({*REPEATABLE} - {*STATED}))
def test_a_stage_that_reads_or_writes_outside_of_dvc_says_so(name: str) -> None:
    """The inference log, and what people decide about versions, change without DVC's knowledge."""
    modules = used_by(ROOT / _script(STAGES[name]))
    outside = {
        "resnet_ops_monitoring.inference_log.log",
        "resnet_ops_registry.gate.candidates",
        "resnet_ops_registry.client.publish",
    }
    assert not modules & outside, f"{name} needs always_changed: true in dvc.yaml, with the reason"


@pytest.mark.parametrize("name", STATED)
def test_what_a_stage_reads_outside_of_dvc_is_stated_in_a_dependency_that_is_always_made_anew(
    name: str,
) -> None:
    stated = STATED[name]
    assert stated in STAGES[name]["deps"]
    maker = next(stage for stage in STAGES.values() if stated in stage["outs"])
    assert maker["always_changed"]
    assert "resnet_ops_pipelines.outside_state" in used_by(ROOT / _script(maker))


def test_what_has_no_influence_is_still_there() -> None:
    gone = [module for module in WITHOUT_INFLUENCE if file_of(module) is None]
    assert gone == []


@pytest.mark.parametrize("name", STAGES)
def test_every_setting_that_a_stage_depends_on_is_there(name: str) -> None:
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key in STAGES[name].get("params", []):
        part: Any = settings
        for word in key.partition("${")[0].rstrip(".").split("."):
            assert word in part, f"{key} of {name} in dvc.yaml is not in params.yaml"
            part = part[word]
