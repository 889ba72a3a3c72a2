"""What a registered model shows that had no gate: its versions, who holds what, and the numbers of their runs."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.digest import local_folder, resolve
from resnet_ops_registry.attestations.evidence import Evidence
from resnet_ops_registry.attestations.statements import Version, find_version, latest_evidence
from resnet_ops_registry.common.mlflow_errors import is_unknown, reported
from resnet_ops_registry.common.target import Target, canonical_name
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.display import is_reserved
from resnet_ops_registry.gate.first_policy import Shown
from resnet_ops_registry.gate.holders import holders

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["Existing", "Survey", "adoptable", "survey"]

LARGEST_MLMODEL = 1_000_000
_FLAVOUR, _SIZE = re.compile(r"  ([A-Za-z_]\w*):"), re.compile(r"model_size_bytes: (\d{1,18})$")


@dataclass(frozen=True)
class Existing:
    """A version that is there. `metrics`: of its MLflow run, where anybody can write them; finite ones."""

    version: Version
    holds: tuple[Target, ...]
    metrics: Mapping[str, float]
    evidence: Evidence | None


@dataclass(frozen=True)
class Survey:
    """A registered model. `taken`: tags of its versions that the gate hides, because it writes tags of these names."""

    model: str
    versions: tuple[Existing, ...]
    taken: tuple[str, ...]

    def shown(self) -> Shown:
        """What a first policy is made from: the version that serves, or the newest where none does."""
        best = max(self.versions, key=lambda each: (_serves(each.holds), each.version.version))
        aliases = {target.name for each in self.versions for target in each.holds if target.kind == "alias"}
        flavours, size = _flavours_and_size(best.version)
        labels = tuple(target.label for target in best.holds)
        number, evidence = best.version.version, best.evidence
        return Shown(
            self.model, number, labels, tuple(sorted(aliases)), best.metrics, evidence, flavours, size
        )


def adoptable(connection: Connection) -> tuple[list[str], dict[str, str]]:
    """The names of registered models, in any workspace, that can have a policy; and why the others cannot."""
    from mlflow.prompt.constants import IS_PROMPT_TAG_KEY
    from mlflow.store.model_registry.dbmodels.models import SqlRegisteredModelTag

    registered, tags = tables.registered_models().c, SqlRegisteredModelTag.__table__.c
    versions, _ = tables.model_tables()
    marked = select(tags.workspace, tags.name).where(
        tags.key == IS_PROMPT_TAG_KEY, func.lower(tags.value) == "true"
    )
    prompts = {(row.workspace, row.name) for row in connection.execute(marked)}
    rows = connection.execute(select(registered.workspace, registered.name)).all()
    names = sorted({row.name for row in rows})
    models = {name for workspace, name in rows if (workspace, name) not in prompts}
    numbered = select(versions.c.name).where(versions.c.current_stage != "Deleted_Internal").distinct()
    with_version = set(connection.execute(numbered).scalars())
    left_out = {
        name: "it has no version" if name in models else "it is a prompt"
        for name in names
        if name not in models & with_version
    }
    return [name for name in names if name not in left_out], left_out


def survey(client: "MlflowClient", connection: Connection, model: str) -> Survey:
    """Raises ConfigError for a model that is not there or has no version."""
    held: dict[Version, list[Target]] = {}
    for each in holders(connection):
        if each.model == model and each.version is not None:
            held.setdefault(each.version, []).append(each.target)
    found = tuple(
        Existing(
            version, tuple(held.get(version, ())), _metrics(client, run_id), _evidence(connection, version)
        )
        for version, run_id in _versions(connection, model)
    )
    if not found:
        raise ConfigError(f"There is no version of {model}. See what there is: resnet-ops registry ls")
    return Survey(model, found, tuple(_taken(connection, model)))


def _versions(connection: Connection, model: str) -> Iterator[tuple[Version, str | None]]:
    table, _ = tables.model_tables()
    query = select(table.c.workspace, table.c.version, table.c.run_id).where(table.c.name == model)
    for row in connection.execute(query.order_by(table.c.workspace, table.c.version)).all():
        version = find_version(connection, row.workspace, model, row.version)
        if version is not None:
            yield version, row.run_id


def _evidence(connection: Connection, version: Version) -> Evidence | None:
    try:
        accepted = latest_evidence(connection, version)
    except EvidenceError:
        return None
    return accepted.predicate if accepted else None


def _metrics(client: "MlflowClient", run_id: str | None) -> dict[str, float]:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return {}
    with reported("Reading the runs"):
        try:
            metrics = client.get_run(run_id).data.metrics
        except MlflowException as error:  # a run may be gone, or be another workspace's
            if not is_unknown(error):
                raise
            return {}
    return {name: float(value) for name, value in metrics.items() if math.isfinite(value)}


def _serves(holds: tuple[Target, ...]) -> int:
    """The more, the likelier it serves."""
    names = {(target.kind, canonical_name(target.name)) for target in holds}
    if any(kind == "alias" and name.startswith("champion") for kind, name in names):
        return 3
    if ("stage", "production") in names:
        return 2
    return int(any(kind == "alias" and name != "challenger" for kind, name in names))


def _flavours_and_size(version: Version) -> tuple[tuple[str, ...], int | None]:
    """As its MLmodel file says; nothing where that is not on this machine. Read line by line, as MLflow writes it."""
    try:
        folder = local_folder(resolve(version.location, version.workspace))
        file = None if folder is None else Path(folder, "MLmodel")
        if file is None or file.stat().st_size > LARGEST_MLMODEL:
            return (), None
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, EvidenceError):
        return (), None
    flavours, size, inside = [], None, False
    for line in lines:
        if not line.startswith(" "):
            inside = line.rstrip() == "flavors:"
            if found := _SIZE.match(line):
                size = int(found[1])
        elif inside and (found := _FLAVOUR.match(line)):
            flavours.append(found[1])
    return tuple(flavours), size


def _taken(connection: Connection, model: str) -> Iterator[str]:
    from mlflow.store.model_registry.dbmodels.models import SqlModelVersionTag

    tags, signed = SqlModelVersionTag.__table__.c, tables.statements.c
    query = select(tags.workspace, tags.version, tags.key).where(tags.name == model)
    known = select(signed.workspace, signed.version).where(signed.model == model).distinct()
    ours = {(row.workspace, row.version) for row in connection.execute(known)}
    for row in connection.execute(query.order_by(tags.version, tags.key)):
        if is_reserved(row.key) and (row.workspace, row.version) not in ours:
            yield f"v{row.version}: {row.key}"
