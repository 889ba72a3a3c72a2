"""Requests at once in a server with workspaces: a team's models are moved, deleted, made and changed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.entities.workspace import Workspace, WorkspaceDeletionMode
from mlflow.store.workspace.sqlalchemy_store import SqlAlchemyStore as WorkspaceStore
from mlflow.utils.workspace_context import ServerWorkspaceContext
from sqlalchemy import text

from resnet_ops_registry.attestations.digest import folder_digest
from resnet_ops_registry.attestations.envelope import Statement, Subject, sign
from resnet_ops_registry.attestations.evidence import EVIDENCE_TYPE
from resnet_ops_registry.database.tables import open_database
from resnet_ops_registry.gate.policies import apply_policy
from resnet_ops_registry.gate.rollback import ROLLBACK_TAG
from resnet_ops_registry.store.store import open_store
from tests.attacks.at_once import FREE, Request
from tests.attacks.registry import POLICY, Registry, evidence_of

__all__ = ["TEAM_REQUESTS", "Team", "WorkspaceServer", "unproven_in_workspaces", "workspaces_enabled"]

_numbers = count()


class WorkspaceServer:
    """The gated store and MLflow's workspace store on one database, as a server with workspaces has them."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.store: Any = open_store(f"gated:{registry.database}")
        self.workspaces = WorkspaceStore(registry.database)
        with open_database(registry.database) as connection:
            apply_policy(connection, FREE, "free.yaml")

    def make(self, workspace: str) -> None:
        self.workspaces.create_workspace(Workspace(name=workspace))

    def prove(self, model: str, folder: Path) -> None:
        """Evidence about the model's first version, whose files lie in a folder, in the workspace of the context."""
        made = self.store.get_model_version(model, "1")
        subject = Subject(model, 1, int(made.creation_timestamp), folder_digest(folder))
        said = evidence_of("1" * 64, 0.96).as_signed()
        envelope = sign(Statement(subject, EVIDENCE_TYPE, said), self.registry.keys["pipeline"])
        tag: Any = ModelVersionTag
        self.store.set_model_version_tag(model, "1", tag("resnet_ops.statement", envelope.text))


@contextmanager
def workspaces_enabled(registry: Registry) -> Iterator[WorkspaceServer]:
    with patch.dict(os.environ, {"MLFLOW_ENABLE_WORKSPACES": "true"}):
        server = WorkspaceServer(registry)
        try:
            yield server
        finally:
            server.workspaces._engine.dispose()


class Team:
    """A workspace with a free model and a guarded one: its first version is proven and was champion once, its second
    is not.

    vacant: nothing has the guarded name yet.
    """

    def __init__(self, server: WorkspaceServer, *, vacant: bool = False) -> None:
        self.server, self.registry, self.store = server, server.registry, server.store
        number = next(_numbers)
        self.team, self.guarded, self.free, self.away = (
            f"{kind}-{number}" for kind in ("team", "attacked-team", "free-team", "attacked-team-away")
        )
        server.make(self.team)
        with ServerWorkspaceContext(self.team):
            self.version(self.free, b"evil", make=True)
            if not vacant:
                self.version(self.guarded, b"good", make=True)
                self.prove()
                self.version(self.guarded, b"evil")
                self.store.set_registered_model_alias(self.guarded, "champion", "1")
                self.store.delete_registered_model_alias(self.guarded, "champion")

    def version(self, model: str, content: bytes, *, make: bool = False) -> None:
        folder = self.registry.folder / "teams" / f"{model}-{next(_numbers)}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(content)
        if make:
            self.store.create_registered_model(model)
        self.store.create_model_version(model, str(folder))

    def prove(self) -> None:
        self.server.prove(self.guarded, Path(self.store.get_model_version(self.guarded, "1").source))

    def govern(self) -> None:
        with open_database(self.registry.database) as connection:
            apply_policy(connection, POLICY.replace("attacked*", self.free), "exact.yaml")

    def give_back(self) -> None:
        tag: Any = RegisteredModelTag
        self.store.set_registered_model_tag(self.guarded, tag(ROLLBACK_TAG, "champion"))

    def leave(self, mode: WorkspaceDeletionMode) -> None:
        self.server.workspaces.delete_workspace(self.team, mode)

    def remake(self) -> None:
        """The workspace again, with a model under the guarded name that nobody proved."""
        self.server.make(self.team)
        self.version(self.guarded, b"evil", make=True)


def _in(workspace: str, request: Request) -> Request:
    def run(team: Team) -> None:
        with ServerWorkspaceContext(workspace or team.team):
            request(team)

    return run


_REQUESTS: dict[str, Request] = {
    "alias": lambda t: t.store.set_registered_model_alias(t.guarded, "champion", "1"),
    "alias 2": lambda t: t.store.set_registered_model_alias(t.guarded, "champion", "2"),
    "alias on the free one": lambda t: t.store.set_registered_model_alias(t.free, "champion", "1"),
    "stage": lambda t: t.store.transition_model_version_stage(t.guarded, "1", "Production", False),
    "stage on the free one": lambda t: t.store.transition_model_version_stage(
        t.free, "1", "Production", False
    ),
    "rename away": lambda t: t.store.rename_registered_model(t.guarded, t.away),
    "rename in": lambda t: t.store.rename_registered_model(t.free, t.guarded),
    "delete": lambda t: t.store.delete_registered_model(t.guarded),
    "delete version": lambda t: t.store.delete_model_version(t.guarded, "1"),
    "take the alias off": lambda t: t.store.delete_registered_model_alias(t.guarded, "champion"),
    "give the alias back": Team.give_back,
    "evidence": Team.prove,
    "create": lambda t: t.version(t.guarded, b"evil", make=True),
    "policy": Team.govern,
}
TEAM_REQUESTS: dict[str, Request] = {
    **{name: _in("", request) for name, request in _REQUESTS.items()},
    **{
        f"{name} in the default one": _in("default", _REQUESTS[name])
        for name in ("alias", "alias on the free one", "stage on the free one", "rename in", "create")
    },
    "move": lambda t: t.leave(WorkspaceDeletionMode.SET_DEFAULT),
    "delete the workspace": lambda t: t.leave(WorkspaceDeletionMode.CASCADE),
    "make the workspace again": _in("", Team.remake),
}


def unproven_in_workspaces(team: Team) -> list[str]:
    """What stands under a guarded name of any workspace, and is not the proven version in the team's own."""
    holding = text(
        "SELECT a.workspace, a.name, a.version, v.source FROM registered_model_aliases a LEFT JOIN model_versions v"
        " ON v.workspace = a.workspace AND v.name = a.name AND v.version = a.version"
        " AND v.current_stage <> 'Deleted_Internal' WHERE a.alias = 'champion'"
        " UNION ALL SELECT workspace, name, version, source FROM model_versions WHERE current_stage = 'Production'"
    )
    with open_database(team.registry.database) as connection:
        rows = connection.execute(holding).all()
    return [
        f"{row.workspace}: {row.name} v{row.version}"
        for row in rows
        if row.name in (team.guarded, team.away)
        and (
            row.workspace != team.team
            or row.source is None
            or Path(row.source, "weights.safetensors").read_bytes() != b"good"
        )
    ]
