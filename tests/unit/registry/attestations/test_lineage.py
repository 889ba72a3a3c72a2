"""The code in a version's evidence is the code that trained it."""

import subprocess
from pathlib import Path

import pytest

from resnet_ops.errors import DataError
from resnet_ops.provenance import git_state
from resnet_ops_registry.attestations.lineage import source_of


def commit(folder: Path, name: str) -> str:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    (folder / name).write_text(name)
    for command in (["add", "-A"], [*who, "commit", "-qm", name], ["rev-parse", "HEAD"]):
        done = subprocess.run(["git", *command], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_commit_after_the_training_is_not_the_one_that_trained(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    lock = tmp_path / "dvc.lock"
    lock.write_text("stages: {train_model@a: {cmd: x}}\n")
    trained = commit(tmp_path, "train.py")
    noted = git_state(tmp_path)
    assert commit(tmp_path, "later.py") != trained
    source = source_of(lock, ["train_model@a"], noted)
    assert (source.commit, source.dirty) == (trained, False)
    (tmp_path / "train.py").write_text("changed")
    assert source_of(lock, ["train_model@a"], noted) == source
    assert git_state(tmp_path)["dirty"]


def test_a_training_outside_of_git_has_no_commit(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text("stages: {train_model@a: {cmd: x}}\n")
    assert source_of(lock, ["train_model@a"], {"commit": None, "dirty": False}).commit == ""
    with pytest.raises(DataError, match=r"dvc\.lock does not list"):
        source_of(lock, ["train_model@b"], {"commit": None, "dirty": False})
