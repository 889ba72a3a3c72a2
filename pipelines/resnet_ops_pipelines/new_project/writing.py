"""A project's folder: a git repository with DVC, and files that are not there yet."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from resnet_ops.errors import ConfigError, StorageError
from resnet_ops.files import write_text
from resnet_ops_pipelines.new_project.code_locks import project_pipeline

__all__ = ["refuse_existing", "refuse_overlap", "upgrade_project", "write_project"]

PIPELINE = """# The stages of the installed resnet-ops, written by `resnet-ops init`. Nothing is to be maintained here:
# settings are in params.yaml, and after an upgrade of the package `resnet-ops upgrade` writes these stages again.
# Stages and top-level keys of your own are kept, comments are not.
"""
OWN = ("params.yaml", "dvc.yaml", "dvc.lock")
MADE = ("data/prepared", "data/production", "data/reference", "models", "exports", "reports", "var")
"""Folders of a project that its stages write."""


def refuse_existing(folder: Path, name: str) -> None:
    """Raise ConfigError where the folder holds a project already."""
    there = [file for file in (*OWN, f"policies/{name}.yaml") if (folder / file).exists()]
    if there:
        raise ConfigError(
            f"{folder} holds {', '.join(there)} already, and nothing is overwritten. Name another folder: --into "
            "FOLDER; or for a new release's stages in this one: resnet-ops upgrade"
        )


def refuse_overlap(images: Path, folder: Path) -> None:
    """Raise ConfigError where the images lie where stages write, or the project among them: DVC takes no stage whose
    output is part of what it reads, and a second run would find more classes than the first.
    """
    place, project = images.resolve(), folder.resolve()
    where, name = ("", f"{project.name}-model") if place == project else ("inside of ", "model")
    if project.is_relative_to(place):
        raise ConfigError(
            f"The project's folder {project} is {where}the image folder {images}, and what the pipeline writes there "
            f"would be taken for images. Name a folder beside it: --into {place.parent / name}"
        )
    for made in MADE:
        if place.is_relative_to(project / made) or (project / made).is_relative_to(place):
            raise ConfigError(
                f"{images} cannot hold the images: stages of the project in {project} write {made}. Move them to "
                f"{project / 'images'}, or name a folder elsewhere for the project: --into FOLDER"
            )


def write_project(folder: Path, files: Mapping[str, str]) -> None:
    """Make the folder a git repository with DVC, where it is none, and write the files; an existing README stays.

    Raises StorageError where git cannot make the repository.
    """
    folder.mkdir(parents=True, exist_ok=True)
    here = folder.resolve()
    if not any((each / ".git").exists() for each in (here, *here.parents)):
        _git_init(here)
    if not (here / ".dvc").exists():
        _dvc_init(here, subdir=not (here / ".git").exists())
    for name, text in files.items():
        if name != "README.md" or not (here / name).exists():
            write_text(here / name, text)
    write_text(here / "dvc.yaml", _text(project_pipeline()))
    _ignore(here / ".gitignore")


def upgrade_project(folder: Path) -> list[str]:
    """Write this release's stages in place of an earlier one's; gives those that differ. Stages that run none of this
    package's modules stay, as do other top-level keys.

    Raises ConfigError where the file is none that `resnet-ops init` wrote.
    """
    path = folder / "dvc.yaml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text.startswith(PIPELINE.splitlines()[0]):
        raise ConfigError(
            f"{path} was not written by `resnet-ops init`, and stays as it is. Name a project's folder: resnet-ops "
            "upgrade FOLDER"
        )
    there = yaml.safe_load(text)
    new = project_pipeline()["stages"]
    own = {name: stage for name, stage in there["stages"].items() if name not in new and not _is_ours(stage)}
    old = {name: stage for name, stage in there["stages"].items() if name not in own}
    changed = [name for name in dict.fromkeys((*new, *old)) if old.get(name) != new.get(name)]
    if changed:
        write_text(path, _text({**there, "stages": new | own}))
    return changed


def _is_ours(stage: dict[str, Any]) -> bool:
    command = dict.get(stage, "do", stage).get("cmd")
    return isinstance(command, str) and command.startswith("python -m resnet_ops_pipelines.")


def _text(pipeline: dict[str, Any]) -> str:
    return PIPELINE + yaml.safe_dump(pipeline, sort_keys=False, allow_unicode=True, width=110)


def _git_init(folder: Path) -> None:
    try:
        _run(["git", "init", "--quiet"], folder)
    except FileNotFoundError:
        raise StorageError(
            "There is no git here, and DVC needs a repository. Install git, then run the same command again."
        ) from None


def _dvc_init(folder: Path, subdir: bool) -> None:
    _run([sys.executable, "-m", "dvc", "init", "--quiet", *(["--subdir"] if subdir else [])], folder)
    write_text(folder / ".dvc/config", "[core]\n    analytics = false\n    check_update = false\n")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise StorageError(
            f"{' '.join(command)} failed in {folder}: {done.stderr.strip()}. Correct that first."
        )


def _ignore(path: Path) -> None:
    wanted = Path(__file__).with_name("ignored.txt").read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    missing = [line for line in wanted.splitlines() if line not in text.splitlines()]
    if missing:
        write_text(
            path, text + ("\n" if text and not text.endswith("\n") else "") + "\n".join(missing) + "\n"
        )
