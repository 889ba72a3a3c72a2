"""What a signed text says. Its signature is checked once and the outcome kept, because it depends on nothing else."""

import json
from functools import lru_cache
from typing import NamedTuple

from resnet_ops_registry.attestations.envelope import Subject, read_envelope
from resnet_ops_registry.attestations.keys import PublicKey
from resnet_ops_registry.attestations.predicates import Predicate, read_predicate

__all__ = ["Signed", "read_signed"]

KEPT_LENGTH = 64_000
"""Longer texts are checked each time, so that what is kept stays below some 30 MB."""


class Signed(NamedTuple):
    """What was signed; `id` is the sha256 of the envelope."""

    id: str
    subject: Subject
    predicate: Predicate


class _Checked(NamedTuple):
    id: str
    subject: Subject
    predicate_type: str
    payload: bytes


def read_signed(text: str, key: PublicKey) -> Signed:
    """Read an envelope that `key` signed. Raises EvidenceError when it is malformed or not `key`'s.

    Whether the key is trusted is another question, to be asked of the database each time.
    """
    check = _checked if len(text) <= KEPT_LENGTH else _checked.__wrapped__
    checked = check(text, key)
    # parsed anew each time: a rule of another package could change what it is given
    predicate = read_predicate(checked.predicate_type, json.loads(checked.payload)["predicate"])
    return Signed(checked.id, checked.subject, predicate)


@lru_cache(maxsize=256)
def _checked(text: str, key: PublicKey) -> _Checked:
    envelope = read_envelope(text)
    statement = envelope.verify(key)
    return _Checked(envelope.digest, statement.subject, statement.predicate_type, envelope.payload)
