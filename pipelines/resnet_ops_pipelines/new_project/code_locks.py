"""Which code each stage runs, as one digest: stages of a project run again when their installed code changes."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

__all__ = ["FOLDER", "code_digest", "project_pipeline", "stages"]

FOLDER = Path("reports/code")
"""In a project, a file for each stage."""
TOPS = ("pipelines/", "monitoring/", "registry/", "resnet_ops/")
"""Where this repository has code, of which `dvc.yaml` names what a stage runs."""
PACKAGED = Path(__file__).with_name("pipeline.yaml")


def stages() -> dict[str, dict[str, Any]]:
    """The stages of this release: of the wheel, or of the checkout whose installation this is."""
    source = PACKAGED if PACKAGED.exists() else Path(__file__).parents[3] / "dvc.yaml"
    return dict(yaml.safe_load(source.read_text(encoding="utf-8"))["stages"])


def code_digest(stage: dict[str, Any]) -> str:
    """The sha256 of all code that a stage names, by path and content; wherever it is installed."""
    digest = hashlib.sha256()
    for place in sorted(filter(_is_code, _body(stage)["deps"])):
        path = _installed(place)
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(f"{place} {file.relative_to(path).as_posix()}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def project_pipeline() -> dict[str, Any]:
    """The `dvc.yaml` of a project: the same stages, each with the digest of its code in place of files it has not."""
    found = stages()
    for name, stage in found.items():
        body = _body(stage)
        data = [each for each in body["deps"] if not _is_code(each)]
        body["deps"] = [str(FOLDER / f"{name}.txt"), *data]
    locks: dict[str, Any] = {
        "desc": "Note which code of the installed resnet-ops each stage runs.",
        "cmd": "python -m resnet_ops_pipelines.lock_code",
        "always_changed": True,
        "outs": [str(FOLDER / f"{name}.txt") for name in found],
    }
    return {"stages": {"lock_code": locks, **found}}


def _body(stage: dict[str, Any]) -> dict[str, Any]:
    return dict.get(stage, "do", stage)


def _is_code(place: str) -> bool:
    return place.startswith(TOPS)


def _installed(place: str) -> Path:
    """Where a file or folder of this repository lies as part of the package that is imported."""
    package, *rest = Path(place).parts[0 if place.startswith("resnet_ops/") else 1 :]
    spec = find_spec(package)
    assert spec is not None, f"{package} is part of this distribution"
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*rest)
