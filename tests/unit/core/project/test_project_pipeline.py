"""The pipeline of a project that holds no code: its stages, their locks, and its upgrade to another release."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from resnet_ops.errors import ConfigError
from resnet_ops_pipelines.new_project.code_locks import code_digest, project_pipeline, stages
from resnet_ops_pipelines.new_project.writing import MADE, upgrade_project, write_project

ROOT = Path(__file__).parents[4]
PACKAGES = ("resnet_ops", "registry", "monitoring", "pipelines")


def test_all_that_stages_write_lies_in_the_folders_where_no_images_may() -> None:
    outs: list[str] = []
    for stage in project_pipeline()["stages"].values():
        body = stage.get("do", stage)
        for kind in ("outs", "metrics", "plots"):
            outs += [next(iter(each)) if isinstance(each, dict) else each for each in body.get(kind, [])]
    assert len(outs) > 20
    assert [each for each in outs if not any(Path(each).is_relative_to(made) for made in MADE)] == []


def test_the_stages_of_a_project_name_no_file_of_this_repository() -> None:
    made = project_pipeline()["stages"]
    assert list(made) == ["lock_code", *stages()]
    for name, stage in made.items():
        body = stage.get("do", stage)
        assert body["cmd"].startswith("python -m resnet_ops_pipelines."), name
        code = [each for each in body.get("deps", []) if each.endswith(".py") or each.startswith(PACKAGES)]
        assert code == [], name
        if name != "lock_code":
            assert body["deps"][0] in made["lock_code"]["outs"]


def test_changed_code_changes_the_lock_of_the_stages_that_run_it_and_of_no_other(tmp_path: Path) -> None:
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", tmp_path)

    def locks() -> dict[str, str]:
        paths = [str(tmp_path / part) for part in (".", *PACKAGES[1:])]
        (tmp_path / "project").mkdir(exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "resnet_ops_pipelines.lock_code"],
            cwd=tmp_path / "project",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            check=True,
        )
        return {path.stem: path.read_text() for path in (tmp_path / "project/reports/code").iterdir()}

    before = locks()
    assert before == {name: f"{code_digest(stage)}\n" for name, stage in stages().items()}, (
        "wherever the same code is installed"
    )
    with (tmp_path / "resnet_ops/training/schedule.py").open("a") as file:
        file.write("# another release\n")
    after = locks()
    assert {name for name in before if before[name] != after[name]} == {
        "train_model",
        "cross_validate_model",
    }


def test_an_upgrade_writes_this_releases_stages_and_touches_no_pipeline_of_somebody_else(
    tmp_path: Path,
) -> None:
    write_project(tmp_path, {"params.yaml": "seed: 0\n"})
    path = tmp_path / "dvc.yaml"
    current = path.read_text()
    assert upgrade_project(tmp_path) == []
    older = yaml.safe_load(current)
    del older["stages"]["draw_portfolio"]
    older["stages"]["monitor_drift"]["params"] = ["seed"]
    older["stages"]["tune_model"] = {"cmd": "python -m resnet_ops_pipelines.tune_model"}
    path.write_text(current.partition("stages:")[0] + yaml.safe_dump(older))
    assert upgrade_project(tmp_path) == ["draw_portfolio", "monitor_drift", "tune_model"]
    assert path.read_text() == current
    path.write_text("stages: {}\n")
    with pytest.raises(ConfigError, match="stays as it is"):
        upgrade_project(tmp_path)
    assert path.read_text() == "stages: {}\n"


def test_an_upgrade_keeps_what_a_team_added_to_the_pipeline(tmp_path: Path) -> None:
    write_project(tmp_path, {"params.yaml": "seed: 0\n"})
    path = tmp_path / "dvc.yaml"
    own = {
        "label": {"cmd": ["echo a", "echo b"], "outs": ["labels.csv"]},
        "each": {"foreach": [1, 2], "do": {"cmd": "echo ${item}"}},
        "grid": {"matrix": {"a": [1]}, "cmd": "echo ${item.a}"},
    }
    beside = {"artifacts": {"best": {"path": "models/resnet8"}}, "plots": [{"a.csv": {"x": "a"}}]}
    older = yaml.safe_load(path.read_text())
    older["stages"] |= own
    older["stages"]["monitor_drift"]["params"] = ["seed"]
    older["stages"]["tune_model"] = {"cmd": "python -m resnet_ops_pipelines.tune_model"}
    path.write_text(path.read_text().partition("stages:")[0] + yaml.safe_dump(older | beside))
    assert upgrade_project(tmp_path) == ["monitor_drift", "tune_model"]
    now = yaml.safe_load(path.read_text())
    assert now == beside | {"stages": project_pipeline()["stages"] | own}
    written = path.read_bytes()
    assert upgrade_project(tmp_path) == []
    assert path.read_bytes() == written
