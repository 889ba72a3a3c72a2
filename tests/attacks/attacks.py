"""The attacks: each tries to put an unproven version in front of users, and says whether it got there.

They run against plain MLflow, where all succeed, and against the gate, where none may. `by` says who attacks: a
client over HTTP, or an insider on the database or the artifact folder; `needs` what the server must have.
"""

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlparse

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from resnet_ops_registry.keys import make_key
from tests.attacks.scene import Scene

__all__ = ["ATTACKS", "Attack"]


@dataclass(frozen=True)
class Attack:
    """`refused`: the gate writes a refusal into its ledger. `on_plain`: why plain MLflow has no such thing."""

    run: Callable[[Scene], bool]
    by: str
    refused: bool
    needs: str = ""
    on_plain: str = ""

    @property
    def name(self) -> str:
        return self.run.__name__


ATTACKS: list[Attack] = []


def attack(
    by: str = "client", *, refused: bool = False, needs: str = "", on_plain: str = ""
) -> Callable[[Callable[[Scene], bool]], Callable[[Scene], bool]]:
    def add(run: Callable[[Scene], bool]) -> Callable[[Scene], bool]:
        ATTACKS.append(Attack(run, by, refused, needs, on_plain))
        return run

    return add


def serves(scene: Scene, alias: str = "champion", name: str = "") -> bool:
    """Whether the unproven version has the alias now."""
    return scene.aliases(name).get(alias) == scene.bad.number


def changed(scene: Scene) -> bool:
    """Whether the champion's files are others than those that were proven."""
    return scene.stored(scene.good) != dict(scene.good.files)


# --- aliases and stages, in every spelling


@attack(refused=True)
def set_the_alias_by_rest(scene: Scene) -> bool:
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def set_the_alias_by_the_route_of_the_ui(scene: Scene) -> bool:
    url = f"{scene.arena.running.uri}/ajax-api/2.0/mlflow/registered-models/alias"
    body = {"name": scene.name, "alias": "champion", "version": str(scene.bad.number)}
    scene.arena.session.post(url, json=body, timeout=60)
    return serves(scene)


def _spelt(alias: str) -> Callable[[Scene], bool]:
    def run(scene: Scene) -> bool:
        scene.set_alias(alias, scene.bad.number)
        return serves(scene, alias)

    return run


for _name, _alias in {
    "write_the_alias_in_capitals": "CHAMPION",
    "end_the_alias_with_a_new_line": "champion\n",
    "write_the_alias_in_full_width": "ｃｈａｍｐｉｏｎ",
    "write_the_alias_with_cyrillic_letters": "сhаmріоn",
    "write_the_alias_with_greek_capitals": "ϹΗΑΜΡΙΟΝ",
    "write_the_alias_with_an_accent": "chámpion",
    "write_the_alias_in_mathematical_letters": "𝐜𝐡𝐚𝐦𝐩𝐢𝐨𝐧",
}.items():
    _run = _spelt(_alias)
    _run.__name__ = _name
    attack(refused=True)(_run)


@attack(refused=True)
def spell_the_version_oddly(scene: Scene) -> bool:
    number = scene.bad.number
    for spelling in (
        f" {number}",
        f"0{number}",
        f"+{number}",
        f"{number} ",
        f"{number}\n",
        "٢",
        "２",
        f"0_{number}",
    ):
        scene.set_alias("champion", spelling)
    return serves(scene)


@attack(refused=True)
def enter_the_stage(scene: Scene) -> bool:
    scene.set_stage("Production", scene.bad.number)
    return scene.stage(scene.bad) == "Production"


@attack(refused=True)
def enter_the_stage_in_other_case_and_archive_the_rest(scene: Scene) -> bool:
    for stage in ("production", "PRODUCTION", "pRoDuCtIoN"):
        # MLflow 3.17 itself fails to archive on PostgreSQL by psycopg 3
        if not scene.set_stage(stage, scene.bad.number, archive=True).ok:
            scene.set_stage(stage, scene.bad.number)
    return scene.stage(scene.bad) == "Production" or scene.stage(scene.good) != "Production"


@attack(refused=True)
def flag_the_model_as_a_prompt(scene: Scene) -> bool:
    tag = {"name": scene.name, "key": "mlflow.prompt.is_prompt", "value": "true"}
    scene.arena.ok("POST", "registered-models/set-tag", tag)
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def ask_from_many_threads_at_once(scene: Scene) -> bool:
    def ask(number: int) -> bool:
        answer = requests.post(
            f"{scene.arena.running.uri}/api/2.0/mlflow/registered-models/alias",
            json={"name": scene.name, "alias": "champion", "version": str(number)},
            auth=scene.arena.session.auth,
            headers={k: v for k, v in scene.arena.session.headers.items() if k.startswith("X-")},
            timeout=60,
        )
        return number == scene.bad.number and answer.ok

    with ThreadPoolExecutor(4) as pool:
        asked = [scene.bad.number, scene.good.number] * 6
        return any(pool.map(ask, asked))


# --- what is carried along: renames, copies, deletion and creation anew


@attack(refused=True)
def rename_a_free_model_into_a_guarded_name(scene: Scene) -> bool:
    free, guarded = f"free-{scene.name}", f"{scene.name}-renamed"
    scene.arena.ok("POST", "registered-models/create", {"name": free})
    version = scene.version({"weights.safetensors": b"evil"}, free)
    assert scene.set_alias("live", version.number, free).ok
    scene.arena.call("POST", "registered-models/rename", {"name": free, "new_name": guarded})
    return scene.aliases(guarded).get("live") == version.number


@attack(refused=True)
def rename_the_model_out_of_its_policy_and_back(scene: Scene) -> bool:
    free = f"free-{scene.name}"
    for alias in ("champion", "live"):
        body = {"name": scene.name, "alias": alias}
        scene.arena.call("DELETE", "registered-models/alias", body)
    scene.set_stage("Archived", scene.good.number)
    scene.arena.ok("POST", "registered-models/rename", {"name": scene.name, "new_name": free})
    assert scene.set_alias("live", scene.bad.number, free).ok
    scene.arena.call("POST", "registered-models/rename", {"name": free, "new_name": scene.name})
    return serves(scene, "live")


@attack(refused=True)
def copy_the_champion_with_its_tags_and_promote_the_copy(scene: Scene) -> bool:
    """A copy is another version: nobody vouched for it, and its source may be swapped later."""
    model = scene.arena.ok(
        "GET", "model-versions/get", {"name": scene.name, "version": str(scene.good.number)}
    )
    body = {
        "name": scene.name,
        "source": f"models:/{scene.name}/{scene.good.number}",
        "tags": model["model_version"].get("tags", []),
    }
    copy = scene.arena.ok("POST", "model-versions/create", body)["model_version"]["version"]
    scene.set_alias("champion", copy)
    return scene.aliases()["champion"] == int(copy)


@attack(refused=True)
def delete_the_model_and_give_its_number_to_another(scene: Scene) -> bool:
    old = scene.statement(scene.good)
    scene.arena.ok("DELETE", "registered-models/delete", {"name": scene.name})
    scene.arena.ok("POST", "registered-models/create", {"name": scene.name})
    again = scene.version({"weights.safetensors": b"good", "member.json": b"{}"})
    assert again.number == scene.good.number
    scene.send(again.number, old)
    scene.set_alias("champion", again.number)
    return scene.aliases().get("champion") == again.number


@attack(refused=True)
def bring_the_alias_back_by_deleting_its_version(scene: Scene) -> bool:
    """Delete v1 under @champion, and set the alias while numbers are being given out anew."""
    body = {"name": scene.name, "version": str(scene.good.number)}
    scene.arena.ok("DELETE", "model-versions/delete", body)
    scene.set_alias("champion", scene.good.number)
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


# --- saying what is not so: tags, metrics, statements


@attack(refused=True)
def write_the_tags_that_the_gate_writes(scene: Scene) -> bool:
    tags = ("evidence", "gate champion", "resnet_ops.evidence_digest", "Resnet_Ops.evidence_key", "еvidence")
    for key in tags:
        scene.tag(scene.bad.number, key, "passes")
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def log_perfect_metrics(scene: Scene) -> bool:
    run = scene.arena.ok("POST", "runs/create", {"experiment_id": scene.arena.experiment})["run"]["info"][
        "run_id"
    ]
    metric = {"run_id": run, "key": "test.top1", "value": 1.0, "timestamp": 1, "step": 0}
    scene.arena.ok("POST", "runs/log-metric", {**metric, "model_id": scene.bad.model_id})
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def sign_evidence_with_a_key_of_ones_own(scene: Scene) -> bool:
    own = make_key("own", scene.arena.keys / "own")
    scene.send(scene.bad.number, scene.statement(scene.bad, key=own))
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def claim_the_pipelines_key_id_over_ones_own_signature(scene: Scene) -> bool:
    own = make_key("own", scene.arena.keys / "own")
    envelope = json.loads(scene.statement(scene.bad, key=own))
    envelope["signatures"][0]["keyid"] = scene.arena.key.public.id
    scene.send(scene.bad.number, json.dumps(envelope))
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def replay_the_champions_statement_on_another_version(scene: Scene) -> bool:
    scene.send(scene.bad.number, scene.statement(scene.good))
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


@attack(refused=True)
def outdo_bad_evidence_with_an_older_good_one(scene: Scene) -> bool:
    good = scene.statement(scene.bad, low=0.99)
    if scene.arena.gated:
        # the pipeline measures again, and it is not good enough
        assert scene.send(scene.bad.number, scene.statement(scene.bad, low=0.90)).ok
        scene.send(scene.bad.number, good)
    scene.set_alias("champion", scene.bad.number)
    return serves(scene)


# --- files: what was proven must be what is served


@attack()
def overwrite_the_champions_weights(scene: Scene) -> bool:
    scene.arena.artifact("PUT", f"{scene.good.root}/weights.safetensors", b"evil")
    return changed(scene)


@attack()
def overwrite_the_champions_weights_by_an_odd_path(scene: Scene) -> bool:
    root = scene.good.root
    for path in (
        f"{root}//weights.safetensors",
        f"{root}/./weights.safetensors",
        f"{root}/x/%2e%2e/weights.safetensors",
    ):
        scene.arena.artifact("PUT", path, b"evil")
        url = f"{scene.arena.running.uri}/ajax-api/2.0/mlflow-artifacts/artifacts/{path}"
        scene.arena.session.put(url, data=b"evil", timeout=60)
    scene.arena.artifact("PUT", f"{root}/weights.safetensors", b"evil")
    return changed(scene)


@attack()
def slip_a_file_in_beside_the_champions(scene: Scene) -> bool:
    scene.arena.artifact("PUT", f"{scene.good.root}/code/sitecustomize.py", b"import os")
    return changed(scene)


@attack()
def delete_the_champions_weights(scene: Scene) -> bool:
    scene.arena.artifact("DELETE", f"{scene.good.root}/weights.safetensors")
    return changed(scene)


@attack()
def delete_a_folder_above_the_champion(scene: Scene) -> bool:
    scene.arena.artifact("DELETE", scene.good.root.rpartition("/")[0])
    return changed(scene)


@attack()
def overwrite_files_between_evidence_and_promotion(scene: Scene) -> bool:
    candidate = scene.version({"weights.safetensors": b"good"})
    scene.prove(candidate)
    scene.arena.artifact("PUT", f"{candidate.root}/weights.safetensors", b"evil")
    scene.set_alias("champion", candidate.number)
    served = scene.aliases()["champion"] == candidate.number
    return served and scene.stored(candidate) != dict(candidate.files)


@attack()
def hold_an_upload_open_until_after_the_promotion(scene: Scene) -> bool:
    """Begin to overwrite a file before there is evidence, and finish it when the version serves."""
    candidate = scene.version({"weights.safetensors": b"good"})
    address = urlparse(scene.arena.running.uri)
    lines = [f"PUT /api/2.0/mlflow-artifacts/artifacts/{candidate.root}/weights.safetensors HTTP/1.1"]
    lines += [f"Host: {address.netloc}", "Content-Length: 4", "Connection: close"]
    prepared = scene.arena.session.prepare_request(requests.Request("PUT", scene.arena.running.uri))
    lines += [
        f"{key}: {value!s}" for key, value in dict(prepared.headers).items() if key.startswith(("X-", "Auth"))
    ]
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", "ev"]).encode())
        scene.prove(candidate)
        assert scene.set_alias("champion", candidate.number).ok
        connection.sendall(b"il")
        while connection.recv(4096):
            pass
    return scene.stored(candidate) != dict(candidate.files)


@attack("insider", refused=True)
def change_the_files_on_disk_and_set_the_alias_again(scene: Scene) -> bool:
    """The champion is the champion already: setting it again must be judged all the same."""
    (scene.path(scene.good) / "weights.safetensors").write_bytes(b"evil")
    return scene.set_alias("champion", scene.good.number).ok


@attack("insider", refused=True)
def change_the_files_on_disk_and_enter_the_stage_again(scene: Scene) -> bool:
    (scene.path(scene.good) / "weights.safetensors").write_bytes(b"evil")
    return scene.set_stage("Production", scene.good.number).ok


@attack("insider", refused=True)
def put_a_link_in_place_of_a_file(scene: Scene) -> bool:
    candidate = scene.version({"weights.safetensors": b"good"})
    scene.prove(candidate)
    elsewhere = scene.arena.running.folder / f"elsewhere-{scene.name}"
    elsewhere.write_bytes(b"good")
    path = scene.path(candidate) / "weights.safetensors"
    path.unlink()
    path.symlink_to(elsewhere)
    return scene.set_alias("champion", candidate.number).ok


# --- the database, past the server: `client` on the plain URI, and SQL by hand


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
