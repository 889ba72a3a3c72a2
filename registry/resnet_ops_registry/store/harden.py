# ruff: noqa: S608  (every name in the SQL below is written here)
"""The second line: triggers in the database that refuse what comes past the gate.

A client on the plain URI, or a second MLflow server without the gate, then cannot set an alias or an active stage,
swap a version's files, or rewrite the ledger. The gate writes a ticket in the transaction of every change that it
lets through, and takes it away again before the commit: nobody else ever sees one. All names need one, guarded or
not, because SQL cannot read names as people do.

On PostgreSQL give other clients a role without rights on the `resnet_ops_` tables, and they cannot write tickets
either. Whoever owns the database can drop triggers: `resnet-ops audit verify` then says what is not explained.
"""

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, insert, select, text

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations import authority
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.attestations.trust import operators
from resnet_ops_registry.database import tables

__all__ = ["harden", "is_hardened", "missing_triggers", "repair", "unharden"]

PREFIX = "resnet_ops_guard_"
_PAST_THE_GATE = (
    "The registry is hardened: this is changed through the gate alone (a registry URI with gated:)."
)
_APPEND_ONLY = "The registry is hardened: what was decided, signed or applied is never rewritten."
_IDENTITY = "The registry is hardened: a version keeps its number, its time and its files."


@dataclass(frozen=True)
class _Rule:
    """Refuse an `event` on rows of `table` where `condition` holds. `<>!` in it differs also from NULL.

    TRUNCATE, which PostgreSQL alone has, is about the table as a whole.
    """

    name: str
    event: str
    table: str
    condition: str
    message: str


def _no_ticket(kind: str, model: str, name: str, row: str = "NEW") -> str:
    return (
        f"NOT EXISTS (SELECT 1 FROM resnet_ops_tickets t WHERE t.kind = '{kind}' AND t.workspace = {row}.workspace"
        f" AND t.model = {row}.{model} AND t.name = {name} AND t.version = {row}.version)"
    )


def _taken(table: str, *columns: str) -> str:
    """SQLite's INSERT OR REPLACE and UPDATE OR REPLACE remove the old row without asking a trigger."""
    same = " AND ".join(f"o.{column} = NEW.{column}" for column in columns)
    return f"EXISTS (SELECT 1 FROM {table} o WHERE {same})"


_ACTIVE = "lower(coalesce(NEW.current_stage, 'none')) NOT IN ('none', 'archived', 'deleted_internal')"
_STAGE_TICKET = _no_ticket("stage", "name", "NEW.current_stage")
_ELSEWHERE = "(NEW.name <>! OLD.name OR NEW.workspace <>! OLD.workspace)"
_MOVED = f"(NEW.current_stage <>! OLD.current_stage OR {_ELSEWHERE})"
_POINTED_AT = (
    "EXISTS (SELECT 1 FROM registered_model_aliases a WHERE"
    " (a.workspace = OLD.workspace AND a.name = OLD.name AND a.version = OLD.version)"
    " OR (a.workspace = NEW.workspace AND a.name = NEW.name AND a.version = NEW.version))"
)
_CARRIED_ALONG = (
    "EXISTS (SELECT 1 FROM resnet_ops_tickets t WHERE t.kind = 'alias' AND t.workspace = NEW.workspace"
    " AND t.model = NEW.name AND t.version = NEW.version)"
)
_HEAD_FOLLOWS = (
    "NEW.id = OLD.id AND ((NEW.seq = OLD.seq AND NEW.hash = OLD.hash) OR (NEW.seq = OLD.seq + 1 AND EXISTS ("
    "SELECT 1 FROM resnet_ops_ledger l WHERE l.seq = NEW.seq AND l.hash = NEW.hash AND l.previous = OLD.hash)))"
)
_REVOCATION = (
    "OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL AND NEW.key_id = OLD.key_id"
    " AND NEW.public_key = OLD.public_key AND NEW.role = OLD.role"
)
_RULES = [
    _Rule(
        "alias_insert",
        "INSERT",
        "registered_model_aliases",
        _no_ticket("alias", "name", "NEW.alias"),
        _PAST_THE_GATE,
    ),
    _Rule(
        "alias_update",
        "UPDATE",
        "registered_model_aliases",
        _no_ticket("alias", "name", "NEW.alias"),
        _PAST_THE_GATE,
    ),
    _Rule("version_insert", "INSERT", "model_versions", f"{_ACTIVE} AND {_STAGE_TICKET}", _PAST_THE_GATE),
    _Rule(
        "version_replace",
        "INSERT",
        "model_versions",
        _taken("model_versions", "workspace", "name", "version"),
        _IDENTITY,
    ),
    _Rule(
        "version_stage",
        "UPDATE",
        "model_versions",
        f"{_ACTIVE} AND {_MOVED} AND {_STAGE_TICKET}",
        _PAST_THE_GATE,
    ),
    # an alias is a name and a number, whatever row has them
    _Rule(
        "version_moved",
        "UPDATE",
        "model_versions",
        f"{_ELSEWHERE} AND (({_POINTED_AT} AND NOT {_CARRIED_ALONG}) OR"
        f" {_taken('model_versions', 'workspace', 'name', 'version')})",
        _PAST_THE_GATE,
    ),
    _Rule(
        "version_identity",
        "UPDATE",
        "model_versions",
        "NEW.version <>! OLD.version OR NEW.creation_time <>! OLD.creation_time"
        " OR NEW.storage_location <>! OLD.storage_location"
        " OR (NEW.source <>! OLD.source AND NEW.source <>! 'REDACTED-SOURCE-PATH')",
        _IDENTITY,
    ),
    _Rule(
        "version_delete",
        "DELETE",
        "model_versions",
        "EXISTS (SELECT 1 FROM resnet_ops_statements s WHERE s.workspace = OLD.workspace AND s.model = OLD.name"
        f" AND s.version = OLD.version) AND {_no_ticket('version', 'name', chr(39) * 2, 'OLD')}",
        _PAST_THE_GATE,
    ),
    _Rule(
        "ledger_insert",
        "INSERT",
        "resnet_ops_ledger",
        "NOT EXISTS (SELECT 1 FROM resnet_ops_ledger_head h WHERE h.id = 1 AND NEW.seq = h.seq + 1"
        " AND NEW.previous = h.hash)",
        _APPEND_ONLY,
    ),
    _Rule("head_insert", "INSERT", "resnet_ops_ledger_head", "1 = 1", _APPEND_ONLY),
    _Rule("head_update", "UPDATE", "resnet_ops_ledger_head", f"NOT ({_HEAD_FOLLOWS})", _APPEND_ONLY),
    _Rule("keys_update", "UPDATE", "resnet_ops_trusted_keys", f"NOT ({_REVOCATION})", _APPEND_ONLY),
    *(
        _Rule(f"{short}_{event.lower()}", event, f"resnet_ops_{table}", "1 = 1", _APPEND_ONLY)
        for short, table, events in (
            ("ledger", "ledger", ("UPDATE", "DELETE")),
            ("head", "ledger_head", ("DELETE",)),
            ("policies", "policies", ("UPDATE", "DELETE")),
            ("statements", "statements", ("UPDATE", "DELETE")),
            ("keys", "trusted_keys", ("DELETE",)),
            ("places", "places", ("UPDATE", "DELETE")),
            ("state", "state", ("INSERT", "UPDATE", "DELETE")),
        )
        for event in events
    ),
    *(
        _Rule(
            f"{table}_replace",
            "INSERT",
            f"resnet_ops_{table}",
            " OR ".join(_taken(f"resnet_ops_{table}", *columns) for columns in unique),
            _APPEND_ONLY,
        )
        for table, unique in (
            ("ledger", [("hash",)]),
            ("policies", [("id",), ("model", "version")]),
            ("statements", [("id",), ("workspace", "envelope_digest")]),
            ("trusted_keys", [("key_id",)]),
            ("places", [("place",)]),
        )
    ),
    *(
        _Rule(f"{table}_truncate", "TRUNCATE", table, "1 = 1", _APPEND_ONLY)
        for table in (
            "model_versions",
            "resnet_ops_ledger",
            "resnet_ops_ledger_head",
            "resnet_ops_policies",
            "resnet_ops_statements",
            "resnet_ops_trusted_keys",
            "resnet_ops_places",
            "resnet_ops_state",
        )
    ),
]
_ROW, _BEFORE, _EVENTS = 1, 2, {"INSERT": 4, "DELETE": 8, "UPDATE": 16, "TRUNCATE": 32}
"""Of pg_trigger.tgtype."""
_NOTHING_OF_OTHERS = "pg_catalog, pg_temp"
"""A trigger's search path: its tables are named with their schema, and a role's temporary tables come last."""


def is_hardened(connection: Connection) -> bool:
    """Whether changes of aliases and stages need a ticket on this database."""
    table = tables.state
    return connection.execute(select(table.c.value).where(table.c.name == "hardened")).first() is not None


def harden(connection: Connection, by: PrivateKey | None = None) -> bool:
    """Install the triggers; gives whether they are new. by: the operator's key that says so, once one is trusted.

    Raises ConfigError for another kind of database.
    """
    _dialect(connection)
    tables.lock(connection)
    new = not is_hardened(connection)
    if new:
        authority.record(connection, "database hardened", {}, by, operators(connection))
    _remove(connection)
    if new:
        connection.execute(insert(tables.state).values(name="hardened", value="1"))
    _install(connection)
    return new


def unharden(connection: Connection, by: PrivateKey | None = None) -> bool:
    """Remove the triggers again; gives whether there were any. by: as for `harden`."""
    tables.lock(connection)
    if not is_hardened(connection):
        return False
    authority.record(connection, "database unhardened", {}, by, operators(connection))
    _remove(connection)
    connection.execute(delete(tables.state).where(tables.state.c.name == "hardened"))
    return True


def missing_triggers(connection: Connection) -> list[str]:
    """The triggers that a hardened database has lost, or that are other ones now; empty where it is not hardened."""
    if not is_hardened(connection):
        return []
    if _dialect(connection) == "sqlite":
        found = {
            row.name: row.sql
            for row in connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        }
        expected: dict[str, Any] = {rule.name: _sqlite_trigger(rule) for rule in _rules(connection)}
    else:
        found = {row.tgname: tuple(row)[1:] for row in connection.execute(text(_POSTGRESQL_TRIGGERS))}
        schema = _schema(connection)
        expected = {rule.name: _as_in_catalogue(rule, schema) for rule in _rules(connection)}
    return [name for name, right in expected.items() if found.get(PREFIX + name) != right]


_POSTGRESQL_TRIGGERS = f"""
SELECT t.tgname, n.nspname, c.relname, t.tgtype, t.tgenabled IN ('O', 'A'), t.tgqual IS NULL AND t.tgattr = '',
  f.nspname, p.proname, p.prosrc, coalesce(p.proconfig[1], ''), coalesce(array_length(p.proconfig, 1), 0), p.prosecdef
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace f ON f.oid = p.pronamespace
WHERE NOT t.tgisinternal AND t.tgname LIKE '{PREFIX.replace("_", "!_")}%' ESCAPE '!'
ORDER BY t.oid
"""


def _as_in_catalogue(rule: _Rule, schema: str) -> tuple[Any, ...]:
    kind = _BEFORE | _EVENTS[rule.event] | (0 if rule.event == "TRUNCATE" else _ROW)
    where = (schema, rule.table, kind, True, True, schema, PREFIX + rule.name)
    return (*where, _body(rule, schema), f"search_path={_NOTHING_OF_OTHERS}", 1, False)


def repair(engine: Engine) -> None:
    """Put back what MLflow's own migrations remove on SQLite, where they make tables anew."""
    with engine.begin() as connection:
        if missing_triggers(connection):
            _remove(connection)
            _install(connection)


def _dialect(connection: Connection) -> str:
    name = connection.dialect.name
    if name not in ("sqlite", "postgresql"):
        raise ConfigError(f"Only SQLite and PostgreSQL can be hardened, not {name}.")
    return name


def _rules(connection: Connection) -> list[_Rule]:
    return [rule for rule in _RULES if rule.event != "TRUNCATE" or _dialect(connection) != "sqlite"]


def _schema(connection: Connection) -> str:
    """Of MLflow's tables, which is ours too."""
    query = (
        "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = to_regclass('registered_model_aliases')"
    )
    return str(connection.execute(text(query)).scalar_one())


def _install(connection: Connection) -> None:
    for rule in _rules(connection):
        made = (
            _sqlite_trigger(rule)
            if _dialect(connection) == "sqlite"
            else _postgresql_trigger(rule, _schema(connection))
        )
        connection.exec_driver_sql(made.replace("%", "%%"))


def _remove(connection: Connection) -> None:
    for rule in _rules(connection):
        name = PREFIX + rule.name
        if _dialect(connection) == "sqlite":
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        else:
            schema = _schema(connection)
            connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS {name} ON "{schema}".{rule.table}')
            connection.exec_driver_sql(f'DROP FUNCTION IF EXISTS "{schema}".{name}() CASCADE')


def _sqlite_trigger(rule: _Rule) -> str:
    return (
        f"CREATE TRIGGER {PREFIX}{rule.name} BEFORE {rule.event} ON {rule.table} FOR EACH ROW "
        f"WHEN {rule.condition.replace('<>!', 'IS NOT')} BEGIN SELECT RAISE(ABORT, '{rule.message}'); END"
    )


def _postgresql_trigger(rule: _Rule, schema: str) -> str:
    name, each = f'"{schema}".{PREFIX}{rule.name}', "STATEMENT" if rule.event == "TRUNCATE" else "ROW"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path = {_NOTHING_OF_OTHERS} "
        f"AS $body${_body(rule, schema)}$body$; "
        f'CREATE TRIGGER {PREFIX}{rule.name} BEFORE {rule.event} ON "{schema}".{rule.table} '
        f"FOR EACH {each} EXECUTE FUNCTION {name}()"
    )


def _body(rule: _Rule, schema: str) -> str:
    """Every table by its schema: a temporary table of the same name would come first."""
    row = {"DELETE": "OLD", "TRUNCATE": "NULL"}.get(rule.event, "NEW")
    condition = re.sub(r"\bFROM (\w+)", rf'FROM "{schema}".\1', rule.condition).replace(
        "<>!", "IS DISTINCT FROM"
    )
    return (
        f" BEGIN IF {condition} THEN RAISE EXCEPTION '{rule.message}' "
        f"USING ERRCODE = 'integrity_constraint_violation'; END IF; RETURN {row}; END "
    )
