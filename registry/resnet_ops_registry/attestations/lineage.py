"""Where a version comes from: digests of its data, and the stages and the code that made it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from resnet_ops.errors import DataError
from resnet_ops.files import canonical_json
from resnet_ops_registry.attestations.evidence import Source

__all__ = ["data_digests", "source_of"]


def data_digests(lock: Path, stage: str) -> dict[str, str]:
    """The digest that DVC recorded of each output of one stage, as `md5:<hexadecimal>`, by path."""
    return {out["path"]: f"md5:{out['md5']}" for out in _stages(lock, [stage])[stage].get("outs", [])}


def source_of(lock: Path, stages: Iterable[str], state: Mapping[str, Any]) -> Source:
    """The code that trained a version, and the sha256 of what DVC recorded of these stages.

    Only these: the rest of dvc.lock changes for reasons that are not this version's. state: what `git_state` gave when
    the training began; by now the project may be at another commit.
    """
    recorded = hashlib.sha256(canonical_json(_stages(lock, stages))).hexdigest()
    return Source(commit=state["commit"] or "", dirty=state["dirty"], dvc_lock=recorded)


def _stages(lock: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    try:
        recorded = yaml.safe_load(lock.read_text())["stages"]
        return {name: recorded[name] for name in names}
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataError(
            f"{lock} does not list the stages behind this version ({error!r}). Run: dvc repro"
        ) from error
