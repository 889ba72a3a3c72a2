# ruff: noqa: S608  (every name in the SQL below is written here)
"""The second line: triggers in the database that refuse what comes past the gate.

A client on the plain URI, or a second MLflow server without the gate, then cannot set an alias or an active stage,
swap a version's files, or rewrite the ledger. The gate writes a ticket in the transaction of every change that it
lets through, and takes it away again before the commit: nobody else ever sees one. All names need one, guarded or
not, because SQL cannot read names as people do.

On PostgreSQL give other clients a role without rights on the `resnet_ops_` tables, and they cannot write tickets
either. Whoever owns the database can drop triggers: `resnet-ops audit verify` then says what is not explained.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select, text

from resnet_ops.errors import ConfigError
from resnet_ops_registry import database, ledger
from resnet_ops_registry.actor import actor
from resnet_ops_registry.ledger import Event

__all__ = ["harden", "is_hardened", "missing_triggers", "repair", "unharden"]

PREFIX = "resnet_ops_guard_"
_PAST_THE_GATE = (
    "The registry is hardened: this is changed through the gate alone (a registry URI with gated:)."
)
_APPEND_ONLY = "The registry is hardened: what was decided, signed or applied is never rewritten."
_IDENTITY = "The registry is hardened: a version keeps its number, its time and its files."


@dataclass(frozen=True)
class _Rule:
    """Refuse an `event` on rows of `table` where `condition` holds. `<>!` in it differs also from NULL."""

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
    """SQLite's INSERT OR REPLACE removes the old row without asking a trigger."""
    same = " AND ".join(f"o.{column} = NEW.{column}" for column in columns)
    return f"EXISTS (SELECT 1 FROM {table} o WHERE {same})"


_ACTIVE = "lower(coalesce(NEW.current_stage, 'none')) NOT IN ('none', 'archived', 'deleted_internal')"
_STAGE_TICKET = _no_ticket("stage", "name", "NEW.current_stage")
_MOVED = (
    "(NEW.current_stage <>! OLD.current_stage OR NEW.name <>! OLD.name OR NEW.workspace <>! OLD.workspace)"
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
        )
        for event in events
    ),
    *(
        _Rule(
            f"{table}_replace",
            "INSERT",
            f"resnet_ops_{table}",
            _taken(f"resnet_ops_{table}", key),
            _APPEND_ONLY,
        )
        for table, key in (
            ("policies", "id"),
            ("statements", "id"),
            ("trusted_keys", "key_id"),
            ("places", "place"),
        )
    ),
]


def is_hardened(connection: Connection) -> bool:
    """Whether changes of aliases and stages need a ticket on this database."""
    table = database.state
    return connection.execute(select(table.c.value).where(table.c.name == "hardened")).first() is not None


def harden(connection: Connection) -> bool:
    """Install the triggers; gives whether they are new. Raises ConfigError for another kind of database."""
    _dialect(connection)
    database.lock(connection)
    new = not is_hardened(connection)
    _remove(connection)
    _install(connection)
    if new:
        connection.execute(insert(database.state).values(name="hardened", value="1"))
        ledger.append(connection, Event(actor(), "database hardened", "recorded"))
    return new


def unharden(connection: Connection) -> bool:
    """Remove the triggers again; gives whether there were any."""
    database.lock(connection)
    if not is_hardened(connection):
        return False
    _remove(connection)
    connection.execute(delete(database.state).where(database.state.c.name == "hardened"))
    ledger.append(connection, Event(actor(), "database unhardened", "recorded"))
    return True


def missing_triggers(connection: Connection) -> list[str]:
    """The triggers that a hardened database has lost; empty where it is not hardened."""
    if not is_hardened(connection):
        return []
    if _dialect(connection) == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    else:
        query = "SELECT tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    present = {row[0]: row[1] for row in connection.execute(text(query))}
    lost = [rule.name for rule in _RULES if PREFIX + rule.name not in present]
    if _dialect(connection) == "sqlite":
        lost += [
            rule.name
            for rule in _RULES
            if present.get(PREFIX + rule.name) not in (None, _sqlite_trigger(rule))
        ]
    return lost


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


def _install(connection: Connection) -> None:
    make = _sqlite_trigger if _dialect(connection) == "sqlite" else _postgresql_trigger
    for rule in _RULES:
        connection.exec_driver_sql(make(rule).replace("%", "%%"))


def _remove(connection: Connection) -> None:
    for rule in _RULES:
        if _dialect(connection) == "sqlite":
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {PREFIX}{rule.name}")
        else:
            connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {PREFIX}{rule.name}() CASCADE")


def _sqlite_trigger(rule: _Rule) -> str:
    return (
        f"CREATE TRIGGER {PREFIX}{rule.name} BEFORE {rule.event} ON {rule.table} FOR EACH ROW "
        f"WHEN {rule.condition.replace('<>!', 'IS NOT')} BEGIN SELECT RAISE(ABORT, '{rule.message}'); END"
    )


def _postgresql_trigger(rule: _Rule) -> str:
    row = "OLD" if rule.event == "DELETE" else "NEW"
    name = PREFIX + rule.name
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN "
        f"IF {rule.condition.replace('<>!', 'IS DISTINCT FROM')} THEN "
        f"RAISE EXCEPTION '{rule.message}' USING ERRCODE = 'integrity_constraint_violation'; END IF; "
        f"RETURN {row}; END $body$; "
        f"CREATE TRIGGER {name} BEFORE {rule.event} ON {rule.table} FOR EACH ROW EXECUTE FUNCTION {name}()"
    )
