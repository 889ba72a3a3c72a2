"""Attacks on the database, past the server."""

from collections.abc import Callable
from contextlib import suppress

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from resnet_ops_registry.attestations.keys import make_key
from tests.attacks.attack import attack, serves
from tests.attacks.scene import Scene


def _tried(statement: Callable[[], object]) -> None:
    with suppress(SQLAlchemyError, MlflowException):
        statement()


@attack("database")
def use_mlflows_client_on_the_plain_database(scene: Scene) -> bool:
    """What a second server without the gate does, too."""
    client = MlflowClient(scene.arena.running.database, scene.arena.running.database)
    _tried(lambda: client.set_registered_model_alias(scene.name, "champion", str(scene.bad.number)))
    return serves(scene)


@attack("database")
def update_the_alias_by_sql(scene: Scene) -> bool:
    sql = "UPDATE registered_model_aliases SET version = :v WHERE name = :n AND alias = 'champion'"
    _tried(lambda: scene.arena.sql(sql, v=scene.bad.number, n=scene.name))
    return serves(scene)


@attack("database")
def insert_an_alias_by_sql(scene: Scene) -> bool:
    sql = "INSERT INTO registered_model_aliases (workspace, name, alias, version) VALUES (:w, :n, 'live', :v)"
    _tried(lambda: scene.arena.sql(sql, w=scene.arena.workspace, v=scene.bad.number, n=scene.name))
    return serves(scene, "live")


@attack("database")
def rename_another_alias_by_sql(scene: Scene) -> bool:
    assert scene.set_alias("free", scene.bad.number).ok
    sql = "UPDATE registered_model_aliases SET alias = 'live' WHERE name = :n AND alias = 'free'"
    _tried(lambda: scene.arena.sql(sql, n=scene.name))
    return serves(scene, "live")


@attack("database")
def update_the_stage_by_sql(scene: Scene) -> bool:
    sql = "UPDATE model_versions SET current_stage = 'Production' WHERE name = :n AND version = :v"
    _tried(lambda: scene.arena.sql(sql, v=scene.bad.number, n=scene.name))
    return scene.stage(scene.bad) == "Production"


@attack("database")
def point_the_champion_at_other_files_by_sql(scene: Scene) -> bool:
    sql = "UPDATE model_versions SET storage_location = :l WHERE name = :n AND version = :v"
    where = f"mlflow-artifacts:/{scene.bad.root}"
    _tried(lambda: scene.arena.sql(sql, l=where, v=scene.good.number, n=scene.name))
    body = {"name": scene.name, "version": str(scene.good.number)}
    return bool(scene.arena.ok("GET", "model-versions/get-download-uri", body)["artifact_uri"] == where)


@attack("database")
def swap_the_numbers_of_two_versions_by_sql(scene: Scene) -> bool:
    bad, good = scene.bad.number, scene.good.number

    def swap() -> None:
        tags = "DELETE FROM model_version_tags WHERE name = :n"
        scene.arena.sql(tags, n=scene.name)
        for old, new in ((good, 99), (bad, good), (99, bad)):
            scene.arena.sql(
                "UPDATE model_versions SET version = :new WHERE name = :n AND version = :old",
                new=new,
                old=old,
                n=scene.name,
            )

    _tried(swap)
    body = {"name": scene.name, "version": str(good)}
    where = scene.arena.ok("GET", "model-versions/get-download-uri", body)["artifact_uri"]
    return bool(where.endswith(scene.bad.root))


@attack("database")
def delete_the_champions_row_and_make_it_anew_by_sql(scene: Scene) -> bool:
    values = {"n": scene.name, "v": scene.good.number}

    def replace() -> None:
        scene.arena.sql("DELETE FROM model_version_tags WHERE name = :n AND version = :v", **values)
        scene.arena.sql("DELETE FROM model_versions WHERE name = :n AND version = :v", **values)
        scene.arena.sql(
            "INSERT INTO model_versions (workspace, name, version, creation_time, current_stage, source, "
            "storage_location, status) VALUES (:w, :n, :v, :t, 'None', :l, :l, 'READY')",
            w=scene.arena.workspace,
            t=scene.good.created,
            l=f"mlflow-artifacts:/{scene.bad.root}",
            **values,
        )

    _tried(replace)
    body = {"name": scene.name, "version": str(scene.good.number)}
    where = scene.arena.ok("GET", "model-versions/get-download-uri", body)["artifact_uri"]
    return bool(where.endswith(scene.bad.root))


@attack("database")
def move_an_alias_from_another_model_by_sql(scene: Scene) -> bool:
    free = f"free-{scene.name}"
    scene.arena.ok("POST", "registered-models/create", {"name": free})
    for _ in range(scene.bad.number):
        version = scene.version({"weights.safetensors": b"evil"}, free)
    assert scene.set_alias("live", version.number, free).ok
    sql = "UPDATE registered_model_aliases SET name = :n WHERE name = :f"
    _tried(lambda: scene.arena.sql(sql, n=scene.name, f=free))
    return serves(scene, "live")


NO_LEDGER = "plain MLflow has no ledger, keys, policies or statements"


@attack("database", on_plain=NO_LEDGER)
def rewrite_an_entry_of_the_ledger(scene: Scene) -> bool:
    scene.set_alias("champion", scene.bad.number)
    sql = "UPDATE resnet_ops_ledger SET entry = replace(entry, 'refused', 'allowed') WHERE model = :n"
    _tried(lambda: scene.arena.sql(sql, n=scene.name))
    return (
        _counts(scene, "SELECT count(*) FROM resnet_ops_ledger WHERE model = :n AND entry LIKE '%refused%'")
        == 0
    )


@attack("database", on_plain=NO_LEDGER)
def delete_an_entry_of_the_ledger(scene: Scene) -> bool:
    before = _counts(scene, "SELECT count(*) FROM resnet_ops_ledger WHERE model = :n")
    _tried(lambda: scene.arena.sql("DELETE FROM resnet_ops_ledger WHERE model = :n", n=scene.name))
    return _counts(scene, "SELECT count(*) FROM resnet_ops_ledger WHERE model = :n") != before


@attack("database", on_plain=NO_LEDGER)
def trust_ones_own_key_by_sql(scene: Scene) -> bool:
    """Whoever writes the keys' table can sign: on PostgreSQL keep that right from other roles. The audit notices."""
    own = make_key("own", scene.arena.keys / "own").public
    sql = (
        "INSERT INTO resnet_ops_trusted_keys (key_id, name, role, public_key, added_at, added_by)"
        " VALUES (:i, 'pipeline', 'pipeline', :k, 1, 'me')"
    )
    _tried(lambda: scene.arena.sql(sql, i=own.id, k=own.raw.hex()))
    return _counts(scene, f"SELECT count(*) FROM resnet_ops_trusted_keys WHERE key_id = '{own.id}'") == 1


@attack("database", on_plain=NO_LEDGER)
def weaken_the_policy_by_sql(scene: Scene) -> bool:
    sql = "UPDATE resnet_ops_policies SET content = replace(content, '0.95', '0.05')"
    _tried(lambda: scene.arena.sql(sql))
    return _counts(scene, "SELECT count(*) FROM resnet_ops_policies WHERE content LIKE '%0.05%'") > 0


@attack("database", on_plain=NO_LEDGER)
def file_the_champions_statement_under_another_version_by_sql(scene: Scene) -> bool:
    sql = "UPDATE resnet_ops_statements SET version = :v WHERE model = :n"
    _tried(lambda: scene.arena.sql(sql, v=scene.bad.number, n=scene.name))
    scene.set_alias("champion", scene.bad.number)
    assert not serves(scene)
    moved = "SELECT count(*) FROM resnet_ops_statements WHERE model = :n AND version = 2"
    return _counts(scene, moved) > 0


@attack(needs="workspaces")
def move_a_champion_by_deleting_its_workspace(scene: Scene) -> bool:
    """`mode=SET_DEFAULT` moves models in bulk, past the registry's own store."""
    arena = scene.arena
    arena.call("DELETE", f"workspaces/{arena.workspace}?mode=SET_DEFAULT", api="3.0")
    before = arena.session.headers["X-MLFLOW-WORKSPACE"]
    arena.session.headers["X-MLFLOW-WORKSPACE"] = "default"
    try:
        return scene.aliases().get("champion") == scene.good.number
    finally:
        arena.session.headers["X-MLFLOW-WORKSPACE"] = before
        arena.call("POST", "workspaces", {"name": arena.workspace}, api="3.0")


def _counts(scene: Scene, sql: str) -> int:
    from sqlalchemy import text

    with scene.arena.engine.connect() as connection:
        values = {"n": scene.name} if ":n" in sql else {}
        return int(connection.execute(text(sql), values).scalar_one())
