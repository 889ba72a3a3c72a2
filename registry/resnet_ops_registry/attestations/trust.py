"""Whose signatures count: public keys in the registry's database, each with a role."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from resnet_ops.errors import ConfigError
from resnet_ops_registry.attestations import authority
from resnet_ops_registry.attestations.authority import OPERATOR
from resnet_ops_registry.attestations.keys import PrivateKey, PublicKey
from resnet_ops_registry.common.actor import actor, now
from resnet_ops_registry.common.target import canonical_name
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.database.ledger import Event

__all__ = [
    "OPERATOR",
    "PIPELINE",
    "REVIEWER",
    "TrustedKey",
    "find_key",
    "list_trusted",
    "operators",
    "revoke_key",
    "trust_first_key",
    "trust_key",
    "trusted_key",
]

REVIEWER = "reviewer"
"""The role, beside the operator's, whose keys may accept a window as a version's new reference."""
PIPELINE = "pipeline"
"""The role whose evidence counts where no policy says so."""


@dataclass(frozen=True)
class TrustedKey:
    """A public key, what it is called, and what it may say (`role`, such as `pipeline`).

    `name` is the person: two keys of one name are one person, and a login of that name is that person too.
    """

    id: str
    name: str
    role: str
    public: PublicKey
    revoked_at: int | None

    @property
    def person(self) -> str:
        """The name as it is compared."""
        return canonical_name(self.name)

    @property
    def counts(self) -> bool:
        """Whether it is trusted now."""
        return self.revoked_at is None


def list_trusted(connection: Connection) -> list[TrustedKey]:
    """Every key that is or was trusted, oldest first."""
    keys = tables.trusted_keys
    rows = connection.execute(select(keys).order_by(keys.c.added_at, keys.c.key_id))
    return [trusted_key(row) for row in rows]


def find_key(connection: Connection, key_id: str) -> TrustedKey | None:
    """The trusted key with this id, or None where it was never trusted or is revoked."""
    keys = tables.trusted_keys
    row = connection.execute(
        select(keys).where(keys.c.key_id == key_id, keys.c.revoked_at.is_(None))
    ).one_or_none()
    return None if row is None else trusted_key(row)


def operators(connection: Connection) -> list[str]:
    """Ids of the operators' keys that are trusted now: while there are some, one must sign what extends trust."""
    return [key.id for key in list_trusted(connection) if key.role == OPERATOR and key.counts]


def trust_key(
    connection: Connection,
    public: PublicKey,
    name: str,
    role: str,
    by: PrivateKey | None = None,
    *,
    first_use: bool = False,
) -> TrustedKey:
    """Trust a key from now on; by: the operator's key that says so, needed as soon as one is trusted.

    Raises ConfigError for a key that was revoked, which it stays, and where an operator's signature is missing.
    """
    tables.lock(connection)
    keys = tables.trusted_keys
    known = connection.execute(select(keys).where(keys.c.key_id == public.id)).one_or_none()
    if known is not None and known.revoked_at is not None:
        raise ConfigError(
            f"The key {public.id[:12]} was revoked. Make a new one with: resnet-ops keys new NAME"
        )
    if known is not None and known.role != role:
        raise ConfigError(f"The key {public.id[:12]} is trusted as {known.role} already; revoke it first.")
    if known is None:
        detail = {**_detail(public.id, name, role), **({"first_use": True} if first_use else {})}
        authority.record(connection, "key trusted", detail, by, operators(connection))
        connection.execute(
            insert(keys).values(
                key_id=public.id,
                name=name[:250],
                role=role[:64],
                public_key=public.raw.hex(),
                added_at=now(),
                added_by=actor(),
            )
        )
    trusted = find_key(connection, public.id)
    assert trusted is not None
    return trusted


def trust_first_key(connection: Connection, public: PublicKey, name: str, role: str) -> bool:
    """Trust `public` if no key was ever trusted here. Gives whether it was trusted now."""
    tables.lock(connection)
    if connection.execute(select(func.count()).select_from(tables.trusted_keys)).scalar_one():
        return False
    trust_key(connection, public, name, role, first_use=True)
    return True


def revoke_key(connection: Connection, key_id: str) -> TrustedKey:
    """Make everything a key signed worthless, for ever. `key_id` may be shortened to 8 digits or more."""
    tables.lock(connection)
    found = [key for key in list_trusted(connection) if key.id.startswith(key_id)] if len(key_id) >= 8 else []
    if len(found) != 1:
        raise ConfigError(f"{key_id!r} names {len(found)} trusted keys. See them with: resnet-ops keys ls")
    key, keys = found[0], tables.trusted_keys
    if key.revoked_at is None:
        connection.execute(
            update(keys).where(keys.c.key_id == key.id).values(revoked_at=now(), revoked_by=actor())
        )
        detail = _detail(key.id, key.name, key.role)
        ledger.append(connection, Event(actor(), "key revoked", "recorded", detail=detail))
    return key


def _detail(key_id: str, name: str, role: str) -> dict[str, Any]:
    return {"key": key_id, "name": name, "role": role}


def trusted_key(row: Row[Any]) -> TrustedKey:
    """A key from a row of `database.trusted_keys`. One that cannot be read verifies nothing, and can be revoked."""
    fields = row._mapping
    try:
        public = PublicKey(bytes.fromhex(fields["public_key"]))
    except (TypeError, ValueError):
        public = PublicKey(b"")
    return TrustedKey(fields["key_id"], fields["name"], fields["role"], public, fields["revoked_at"])
