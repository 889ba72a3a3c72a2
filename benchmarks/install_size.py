"""What each role installs: packages, and bytes on disk, computed from the wheels' own lists of files.

    python benchmarks/install_size.py

Reads pyproject.toml and this environment, which must hold everything (`make install`), and prints a table for
docs/install.md. Bytecode is not counted: it depends on how the packages are installed.
"""

import platform
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

__all__ = ["needed"]

ROOT = Path(__file__).resolve().parents[1]
ROLES = {
    "a server with the gate": "",
    "that server behind a login, on PostgreSQL": "auth,postgresql",
    "training, evaluation, benchmark": "train",
    "the same, with ONNX and int8": "train,onnx",
    "monitoring": "monitoring",
    "this repository's pipeline": "pipelines,onnx",
}


def needed(requirements: Iterable[str], own: Iterable[str]) -> dict[str, Distribution]:
    """The installed distributions that requirements lead to, by name. own: what `resnet-ops` itself requires.

    Raises PackageNotFoundError when one of them is not installed here.
    """
    waiting, seen = [Requirement(text) for text in requirements], set()
    found: dict[str, Distribution] = {}
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        for extra in {"", *wanted.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if name != "resnet-ops":
                found[name] = distribution(name)
            for text in own if name == "resnet-ops" else found[name].requires or ():
                child = Requirement(text)
                if child.marker is None or child.marker.evaluate({"extra": extra}):
                    waiting.append(child)
    return found


def own_requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = [
        f"{text} {'and' if ';' in text else ';'} extra == '{extra}'"
        for extra, texts in project["optional-dependencies"].items()
        for text in texts
    ]
    return [*project["dependencies"], *optional]


def main() -> None:
    own = own_requirements()
    print(f"{platform.platform()}, Python {platform.python_version()}\n")
    print("| role | `pip install` | packages | MB on disk |\n|---|---|---|---|")
    for role, extras in ROLES.items():
        name = f"resnet-ops[{extras}]" if extras else "resnet-ops"
        try:
            found = needed([name], own)
        except PackageNotFoundError as error:
            print(f"{role}: not computed, {error.name} is not installed here")
            continue
        size = sum(
            Path(str(file.locate())).stat().st_size
            for each in found.values()
            for file in each.files or ()
            if file.suffix != ".pyc"
        )
        print(f"| {role} | `'{name}'` | {len(found)} | {size / 1e6:,.0f} |")


if __name__ == "__main__":
    main()
