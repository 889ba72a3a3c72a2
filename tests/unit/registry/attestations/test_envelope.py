import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.envelope import (
    Envelope,
    Statement,
    Subject,
    parse_strict_json,
    read_envelope,
    sign,
)
from resnet_ops_registry.attestations.keys import PrivateKey, list_keys, make_key, open_key, read_public_key

STATEMENT = Statement(Subject("digits", 3, 1_700_000_000_000, "a" * 64), "https://x/evidence", {"n": 1.5})


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    return open_key("pipeline", tmp_path)


def test_a_signed_statement_is_read_back_as_it_was(key: PrivateKey) -> None:
    assert read_envelope(sign(STATEMENT, key).text).verify(key.public) == STATEMENT


def test_what_is_signed_is_the_pre_authentication_encoding_of_dsse(key: PrivateKey) -> None:
    envelope = sign(STATEMENT, key)
    length = len(envelope.payload)
    message = b"DSSEv1 28 application/vnd.in-toto+json %d " % length + envelope.payload
    assert key.public.verifies(message, envelope.signature)
    assert not key.public.verifies(envelope.payload, envelope.signature)


def test_a_statement_signed_by_another_key_is_not_believed(key: PrivateKey, tmp_path: Path) -> None:
    envelope = sign(STATEMENT, open_key("other", tmp_path))
    renamed = Envelope(envelope.payload, key.public.id, envelope.signature)
    for each in (envelope, renamed):
        with pytest.raises(EvidenceError, match="not by key"):
            each.verify(key.public)


@settings(max_examples=50)
@given(position=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_single_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, position: int, change: int
) -> None:
    key = open_key("pipeline", tmp_path_factory.getbasetemp() / "keys")
    envelope = sign(STATEMENT, key)
    payload = bytearray(envelope.payload)
    payload[position % len(payload)] ^= change
    with pytest.raises(EvidenceError):
        Envelope(bytes(payload), envelope.key_id, envelope.signature).verify(key.public)


HOSTILE = {
    "truncated": '{"payload": "',
    "duplicate key": '{"a": 1, "a": 2}',
    "not a number": '{"a": NaN}',
    "infinite": '{"a": 1e999}',
    "deep": "[" * 50_000,
    "deep and closed": '{"a":' * 30 + "1" + "}" * 30,
    "huge": '"' + "a" * 3_000_000 + '"',
    "lone surrogate": '{"a": "\\ud800"}',
    "huge number": '{"a": ' + "1" * 5000 + "}",
    "empty": "",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_json_is_refused(text: str) -> None:
    with pytest.raises(EvidenceError):
        parse_strict_json(text)


def test_brackets_in_strings_are_not_depth() -> None:
    assert parse_strict_json(json.dumps({"a": "[" * 100 + '\\"{'})) == {"a": "[" * 100 + '\\"{'}


@given(text=st.text())
def test_any_text_is_refused_as_an_envelope_without_a_crash(text: str) -> None:
    with pytest.raises(EvidenceError):
        read_envelope(text)


def change_envelope(text: str, **changes: Any) -> str:
    return json.dumps({**json.loads(text), **changes})


def test_an_envelope_holds_exactly_one_signature(key: PrivateKey) -> None:
    text = sign(STATEMENT, key).text
    signature = json.loads(text)["signatures"][0]
    wrong: list[Any] = [[], [signature, signature], {}, None, ["x"], [{**signature, "extra": 1}]]
    for signatures in wrong:
        with pytest.raises(EvidenceError):
            read_envelope(change_envelope(text, signatures=signatures))


def test_another_payload_type_is_refused(key: PrivateKey) -> None:
    with pytest.raises(EvidenceError, match="payloadType"):
        read_envelope(change_envelope(sign(STATEMENT, key).text, payloadType="text/plain"))


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"subject": []},
        {"predicate": []},
        {"subject": [{"name": "x", "digest": {"sha256": "A" * 64}, "annotations": {}}]},
        {
            "subject": [
                {
                    "name": "x",
                    "digest": {"sha256": "a" * 64},
                    "annotations": {"version": True, "creation_time": 1},
                }
            ]
        },
    ],
)
def test_a_signed_payload_that_is_no_statement_is_refused(key: PrivateKey, change: dict[str, Any]) -> None:
    payload = json.dumps({**json.loads(sign(STATEMENT, key).payload), **change}).encode()
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    signature = {"keyid": key.public.id, "sig": base64.b64encode(key.sign(message)).decode()}
    text = change_envelope(
        sign(STATEMENT, key).text, payload=base64.b64encode(payload).decode(), signatures=[signature]
    )
    with pytest.raises(EvidenceError):
        read_envelope(text).verify(key.public)


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first, second = open_key("me", tmp_path), make_key("me", tmp_path)
    assert first.public == second.public
    assert (tmp_path / "me.pem").stat().st_mode & 0o777 == 0o600
    assert read_public_key(tmp_path / "me.pub.pem") == first.public
    assert [key.name for key in list_keys(tmp_path)] == ["me"]


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    open_key("me", tmp_path)
    (tmp_path / "me.pem").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_key("me", tmp_path)


@pytest.mark.parametrize("name", ["../me", "", "a/b", "Me", ".me"])
def test_a_key_cannot_be_named_out_of_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a key"):
        open_key(name, tmp_path)
