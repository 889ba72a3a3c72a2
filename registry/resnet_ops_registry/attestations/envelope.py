"""Signed statements: a DSSE envelope around an in-toto Statement v1.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md

Everything read here may come from anybody: nothing of the payload is believed before `Envelope.verify`.
"""

import base64
import binascii
import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from resnet_ops.errors import EvidenceError
from resnet_ops.files import canonical_json
from resnet_ops_registry.attestations.keys import PrivateKey, PublicKey

__all__ = ["Envelope", "Statement", "Subject", "parse_strict_json", "read_envelope", "sign"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_BYTES = 2_000_000
MAX_DEPTH = 20
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""Strings and brackets. Whatever follows a quote matches, and nothing is tried twice: linear for every text."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Subject:
    """What a statement speaks of: one version of a registered model, made at one time, with these files."""

    model: str
    version: int
    creation_time: int
    """When the registry made the version, in milliseconds since 1970: tells it from one recreated later."""
    digest: str
    """sha256 over the names and contents of the version's files (`resnet_ops_registry.attestations.digest`)."""


@dataclass(frozen=True)
class Statement:
    """A subject, a kind of statement (a URI) and what is said."""

    subject: Subject
    predicate_type: str
    predicate: dict[str, Any]


@dataclass(frozen=True)
class Envelope:
    """A statement as it arrived: signed by somebody, not yet believed."""

    payload: bytes
    key_id: str
    signature: bytes

    def verify(self, key: PublicKey) -> Statement:
        """The statement, once the signature is known to be `key`'s. Raises EvidenceError."""
        if key.id != self.key_id or not key.verifies(_pre_authentication(self.payload), self.signature):
            raise EvidenceError(f"The signature is not by key {self.key_id[:12]}: the statement was changed.")
        return _read_statement(self.payload)

    @property
    def text(self) -> str:
        """Canonical JSON of the envelope: equal statements have equal text."""
        signature = {"keyid": self.key_id, "sig": base64.b64encode(self.signature).decode()}
        payload = base64.b64encode(self.payload).decode()
        return canonical_json(
            {"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [signature]}
        ).decode()

    @property
    def digest(self) -> str:
        """The sha256 of `text`: the statement's name in the ledger."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def sign(statement: Statement, key: PrivateKey) -> Envelope:
    """Sign a statement."""
    subject = statement.subject
    payload = canonical_json(
        {
            "_type": STATEMENT_TYPE,
            "subject": [
                {
                    "name": subject.model,
                    "digest": {"sha256": subject.digest},
                    "annotations": {"version": subject.version, "creation_time": subject.creation_time},
                }
            ],
            "predicateType": statement.predicate_type,
            "predicate": statement.predicate,
        }
    )
    return Envelope(payload, key.public.id, key.sign(_pre_authentication(payload)))


def read_envelope(text: str) -> Envelope:
    """Take an envelope apart. Raises EvidenceError when it is not exactly one statement with one signature."""
    content = _fields(parse_strict_json(text), "envelope", {"payload", "payloadType", "signatures"})
    if content["payloadType"] != PAYLOAD_TYPE:
        raise EvidenceError(f"The envelope's payloadType must be {PAYLOAD_TYPE}.")
    signatures = content["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise EvidenceError("The envelope must hold exactly one signature.")
    signature = _fields(signatures[0], "signature", {"keyid", "sig"})
    if not isinstance(signature["keyid"], str) or not _SHA256.fullmatch(signature["keyid"]):
        raise EvidenceError("The envelope's keyid must be 64 hexadecimal digits.")
    return Envelope(_decode(content["payload"]), signature["keyid"], _decode(signature["sig"]))


def parse_strict_json(text: str | bytes) -> Any:
    """Parse JSON that means one thing only. Raises EvidenceError.

    Refused: more than 2 MB, more than 20 levels, duplicate keys, NaN and infinities, lone surrogates.
    """
    if len(text) > MAX_BYTES:
        raise EvidenceError(f"The statement is larger than {MAX_BYTES:,} bytes.")
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        _check_depth(decoded)
        value = json.loads(
            decoded, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        canonical_json(value)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"The statement is not plain JSON: {error}.") from error
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return fields


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


def _fields(value: Any, where: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise EvidenceError(f"The {where} must hold exactly {', '.join(sorted(names))}.")
    return value


def _decode(value: Any) -> bytes:
    try:
        decoded = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise EvidenceError("The envelope's payload and sig must be base64.") from error
    return decoded


def _pre_authentication(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding, PAE: what is signed."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def _read_statement(payload: bytes) -> Statement:
    content = _fields(
        parse_strict_json(payload), "statement", {"_type", "subject", "predicateType", "predicate"}
    )
    if content["_type"] != STATEMENT_TYPE:
        raise EvidenceError(f"The statement's _type must be {STATEMENT_TYPE}.")
    subjects = content["subject"]
    if not isinstance(subjects, list) or len(subjects) != 1:
        raise EvidenceError("The statement must have exactly one subject.")
    subject = _fields(subjects[0], "subject", {"name", "digest", "annotations"})
    digest = _fields(subject["digest"], "subject's digest", {"sha256"})["sha256"]
    notes = _fields(subject["annotations"], "subject's annotations", {"version", "creation_time"})
    numbers = (notes["version"], notes["creation_time"])
    if not isinstance(subject["name"], str) or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise EvidenceError("The statement's subject must have a name and a sha256.")
    if not all(type(number) is int for number in numbers):
        raise EvidenceError("The subject's version and creation_time must be whole numbers.")
    if not isinstance(content["predicateType"], str) or not isinstance(content["predicate"], dict):
        raise EvidenceError("The statement must have a predicateType and a predicate.")
    return Statement(
        Subject(subject["name"], *numbers, digest), content["predicateType"], content["predicate"]
    )
