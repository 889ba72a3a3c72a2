"""The doctor: is what this installation and this folder are set up with fit for use? It changes nothing.

Each package brings its own checks, as an entry point in the group `resnet_ops.checks`: a function without arguments
that yields findings.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from resnet_ops.cores import usable_cores
from resnet_ops.errors import ResnetOpsError
from resnet_ops.extras import EXTRAS

__all__ = ["Finding", "core_checks", "examined", "run_checks"]

State = Literal["fine", "note", "wrong"]
NAME = "resnet-ops"
STAGES = "resnet_ops_pipelines"
SHADOWED = (
    "dvc",
    "evidently",
    "mlflow",
    "resnet_ops",
    "resnet_ops_monitoring",
    STAGES,
    "resnet_ops_registry",
    "torch",
)
LEAST_SPACE = 2 * 2**30
"""Bytes below which a disk is too full for one run of the pipeline."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. note: nothing is broken, but somebody should know. text: with the remedy."""

    subject: str
    state: State
    text: str


def examined(subject: str, check: Callable[[], str]) -> Finding:
    """What `check` says of a subject; wrong where it raises, in the words of the error where it is one of ours."""
    try:
        return Finding(subject, "fine", check())
    except ResnetOpsError as error:
        return Finding(subject, "wrong", str(error))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks go on; its words may hold a password
        return Finding(subject, "wrong", f"This check ended with {type(error).__name__}. Please report it.")


def run_checks() -> Iterator[Finding]:
    """The findings of every installed package. A check that breaks is a finding itself."""
    for point in sorted(entry_points(group="resnet_ops.checks"), key=lambda point: point.name):
        try:
            yield from point.load()()
        except Exception as error:  # noqa: BLE001 -- whatever it is, the other checks go on, and it is told
            yield _broken(point, error)


def _broken(point: EntryPoint, error: Exception) -> Finding:
    text = f"They ended with {type(error).__name__}. Please report it."
    return Finding(f"checks of {point.name}", "wrong", text)


def core_checks() -> Iterator[Finding]:
    """Python, packages, this folder, this machine."""
    yield from _packages()
    yield from _shadows()
    yield _space()
    yield from _threads()
    yield from _git()
    if _in_project():
        yield from _stages_python()
        yield from _project()


def _packages() -> Iterator[Finding]:
    """Versions outside of what this release was tested with; which extras are complete.

    What an extra asks of a package that others need too counts once that extra is installed.
    """
    from packaging.requirements import Requirement

    wanted: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, requires(NAME) or ()):
        extra = next((name for name in (*EXTRAS.values(), "") if _wanted(requirement, name)), None)
        if extra is not None and requirement.name != NAME:  # else for developers, or for another system
            wanted.setdefault(extra, []).append(requirement)
    wrong: dict[str, str] = {}
    notes = []
    for extra, requirements in sorted(wanted.items()):
        here = {each: _version(each.name) for each in requirements}
        missing = ", ".join(each.name for each, found in here.items() if found is None)
        if missing and extra:
            text = f"not installed ({missing}). Who needs it: pip install '{NAME}[{extra}]'"
            notes.append(Finding(f"extra {extra}", "note", text))
            continue
        if missing:
            wrong["packages"] = f"{missing} is missing. Install again: pip install {NAME}"
        for each, found in here.items():
            if found is not None and not each.specifier.contains(found, prereleases=True):
                need = f"{each.name}{each.specifier}"
                wrong[each.name] = (
                    f"{found} is installed, and this release was tested with {need}. Install: pip install '{need}'"
                )
    yield from (Finding(subject, "wrong", text) for subject, text in wrong.items())
    if not wrong:
        text = f"{NAME} {version(NAME)} on Python {sys.version.split()[0]}, as tested"
        yield Finding("packages", "fine", text)
    yield from notes


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _wanted(requirement: object, extra: str) -> bool:
    marker = getattr(requirement, "marker", None)
    if marker is None:
        return not extra
    return bool(marker.evaluate({"extra": extra})) and (bool(extra) or "extra" not in str(marker))


def _shadows() -> Iterator[Finding]:
    """Folders here that Python would import instead of the installed packages."""
    for name in SHADOWED:
        here = Path.cwd() / name
        origin = (spec := find_spec(name)) and spec.origin and Path(spec.origin).parent
        if here.is_dir() and origin != here and any(here.glob("*.py")):
            yield Finding(
                f"folder {name}",
                "wrong",
                f"{here} has the name of an installed package: commands that are run here may import it instead. "
                "Rename the folder.",
            )


def _space() -> Finding:
    here = Path.cwd()
    free = shutil.disk_usage(here).free
    if not os.access(here, os.W_OK):
        text = f"{here} cannot be written. Change its permissions, or work in another folder."
        return Finding("disk", "wrong", text)
    if free < LEAST_SPACE:
        text = f"{free / 2**30:.1f} GiB are free at {here}: one run needs about 2. Free some space."
        return Finding("disk", "wrong", text)
    return Finding("disk", "fine", f"{free / 2**30:.0f} GiB free at {here}")


def _threads() -> Iterator[Finding]:
    """Settings of the machine that make it slow."""
    said, cores = os.environ.get("OMP_NUM_THREADS", ""), usable_cores()
    if said.isdigit() and int(said) > cores:
        yield Finding(
            "OMP_NUM_THREADS",
            "note",
            f"is {said}, but this process may use {cores} core(s): threads that wait for each other are slower "
            "than fewer. Unset it.",
        )


def _git() -> Iterator[Finding]:
    """Whether git is there, which a project's repository is of."""
    here = Path.cwd()
    if shutil.which("git") is None:
        lost = _in_project() and any(os.access(folder / ".git", os.F_OK) for folder in (here, *here.parents))
        yield Finding(
            "git",
            "wrong" if lost else "note",
            "is in no folder of PATH: evidence will not say from which commit a version is, and `resnet-ops init` "
            "cannot make a repository. Install git, or add its folder to PATH.",
        )


def _in_project() -> bool:
    """Whether the stages of this folder's `dvc.yaml` are ours; it may be cut off, or of a merge."""
    try:
        return STAGES in Path("dvc.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _stages_python() -> Iterator[Finding]:
    """Whether `python`, by which `dvc repro` runs the stages, finds the same package as this command."""
    command, ours = shutil.which("python"), find_spec(STAGES)
    found, where = "", "not there"
    if command:
        code = f"from importlib.util import find_spec; print(find_spec('{STAGES}').origin)"
        found = subprocess.run([command, "-c", code], capture_output=True, text=True).stdout  # noqa: S603
        where = f"{command}, which does not find the resnet-ops of this command"
    if ours is not None and os.path.realpath(found.strip()) != os.path.realpath(str(ours.origin)):
        text = f"`dvc repro` runs `python`, which is {where}. Run: source {sys.prefix}/bin/activate"
        yield Finding("python", "wrong", text)


def _project() -> Iterator[Finding]:
    """What `make repro` asks before it begins."""
    ended = subprocess.run(
        [sys.executable, "-m", "resnet_ops_pipelines.check_project", "--look"],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if line.strip()]
    if ended.returncode:
        yield Finding("project", "wrong", " ".join(lines[-1:]).removeprefix("check_project: "))
        lines = lines[:-1]
    else:
        yield Finding("project", "fine", "settings, images and repository are as `dvc repro` needs them")
    for line in lines:
        yield Finding("project", "note", line)
