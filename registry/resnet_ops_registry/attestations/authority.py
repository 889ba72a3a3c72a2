"""What extends trust (keys, policies, the second line) is signed by an operator's key, as soon as there is one.

The ledger's chain needs no secret: whoever writes the database can add a key, and an entry that chains. Nobody can
sign it. A signature is over the hash of the entry before, so that none is worth anything in another place.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from resnet_ops.errors import ConfigError
from resnet_ops.files import canonical_json
from resnet_ops_registry.attestations.keys import PrivateKey, PublicKey
from resnet_ops_registry.common.actor import actor
from resnet_ops_registry.database import ledger, tables
from resnet_ops_registry.database.ledger import Entry, Event

__all__ = ["ADOPTED", "OPERATOR", "extensions", "record", "told", "unsigned"]

ADOPTED = "adopted"
"""The action of an entry by which an operator recorded who held an alias or stage before the gate came."""
_EXTENDING = ("key trusted", "policy applied", "database hardened", "database unhardened", ADOPTED)
_ABOUT = ("workspace", "model", "version", "target")
_TOLD = ("name", "role", "policy", "model", "version", "target", "mode")
OPERATOR = "operator"
"""The role whose keys sign what extends trust, and may bring a retired version back."""


def record(
    connection: Connection,
    action: str,
    detail: Mapping[str, Any],
    by: PrivateKey | None,
    operators: Sequence[str],
    what: str = "This extends what the registry trusts",
) -> None:
    """Write an entry that an operator signs, such as one that extends trust.

    One that is ADOPTED is about the workspace, model, version and target in its detail.

    operators: ids of the operators' keys that are trusted now. what: why they must, in words. Raises ConfigError when
    there are some and `by` is none of them.
    """
    head = tables.lock(connection)
    if operators and (by is None or by.public.id not in operators):
        whose = f"{by.name} is not the key of one" if by else "no key was given"
        raise ConfigError(
            f"{what}, so an operator must sign it, and {whose}. Give an operator's key "
            "that is trusted here: --key NAME, as in `resnet-ops keys ls`."
        )
    signed = {}
    if by is not None:
        signature = by.sign(_message(head[1], action, detail))
        signed = {"operator": by.public.id, "signature": base64.b64encode(signature).decode()}
    about = {name: detail[name] for name in _ABOUT} if action == ADOPTED else {}
    ledger.append(connection, Event(actor(), action, "recorded", **about, detail={**detail, **signed}), head)


def unsigned(entries: Sequence[Entry], keys: Mapping[str, PublicKey]) -> Iterator[Entry]:
    """The entries that extend trust without the signature of a key that was an operator's by the entries before.

    keys: by id. Those before the first operator's key was trusted are not among them: there was nobody to sign.
    """
    operators: set[str] = set()
    needed = False
    for entry in entries:
        action, detail = entry.event.action, entry.event.detail
        if action == "key revoked":
            operators.discard(str(detail.get("key")))
        if action in _EXTENDING and needed and not _is_signed(entry, operators, keys):
            yield entry
        elif action == "key trusted" and detail.get("role") == OPERATOR:
            operators.add(str(detail.get("key")))
            needed = True


def extensions(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that extend trust."""
    return [entry for entry in entries if entry.event.action in _EXTENDING]


def told(entry: Entry) -> str:
    """Such an entry in a line."""
    detail = entry.event.detail
    what = " ".join(str(detail[name]) for name in _TOLD if name in detail)
    key = f" {str(detail['key'])[:12]}" if "key" in detail else ""
    first = ", on first use" if detail.get("first_use") else ""
    by = f"signed by {str(detail['operator'])[:12]}" if "operator" in detail else "signed by nobody"
    return f"entry {entry.seq}: {entry.event.action} {what}{key}".rstrip() + f" ({by}{first})"


def _is_signed(entry: Entry, operators: set[str], keys: Mapping[str, PublicKey]) -> bool:
    detail = dict(entry.event.detail)
    if entry.event.action == ADOPTED and any(
        getattr(entry.event, name) != detail.get(name) for name in _ABOUT
    ):
        return False
    operator, signature = detail.pop("operator", None), detail.pop("signature", None)
    key = keys.get(operator) if operator in operators else None
    try:
        raw = base64.b64decode(signature, validate=True) if isinstance(signature, str) else b""
    except (ValueError, binascii.Error):
        return False
    return (
        key is not None
        and key.id == operator
        and key.verifies(_message(entry.previous, entry.event.action, detail), raw)
    )


def _message(previous: str, action: str, detail: Mapping[str, Any]) -> bytes:
    return b"resnet-ops ledger entry\n" + canonical_json(
        {"previous": previous, "action": action, "detail": dict(detail)}
    )
