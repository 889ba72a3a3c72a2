"""Hostile input to every parser: never an error of another kind than ours, never accepted."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resnet_ops.errors import ConfigError, EvidenceError
from resnet_ops_registry.attestations.digest import folder_digest
from resnet_ops_registry.attestations.envelope import (
    Envelope,
    Statement,
    Subject,
    parse_strict_json,
    read_envelope,
    sign,
)
from resnet_ops_registry.attestations.evidence import EVIDENCE_TYPE
from resnet_ops_registry.attestations.keys import PrivateKey, open_key, read_key
from resnet_ops_registry.attestations.predicates import (
    Approval,
    Baseline,
    Predicate,
    Reproduction,
    Retirement,
    Review,
    Waiver,
    predicate_type,
    read_predicate,
)
from resnet_ops_registry.common.deadlines import read_until
from resnet_ops_registry.gate.policy import Policy, Target, canonical_name
from resnet_ops_registry.gate.policy_file import read_policy
from tests.unit.registry.attestations.test_evidence import make_evidence

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CHAMPION = Target(kind="alias", name="champion")
SAID: list[Predicate] = [
    make_evidence(),
    Approval(target=CHAMPION, until=NOW, created=NOW),
    Waiver(target=CHAMPION, rule="accuracy", until=NOW, why="demo", created=NOW),
    Reproduction(weights_digest="0" * 64, metrics={"acc": 0.5}, environment={}, created=NOW),
    Retirement(retired=True, why="broken", created=NOW),
    Baseline(reference="0" * 64, images=360, created=NOW),
    Review(window="w", verdict="alarm", verdict_digest="0" * 64, action="acknowledge", created=NOW),
]
POLICY = Path(__file__).parents[4] / "policies" / "digits-classifier.yaml"

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> PrivateKey:
    return open_key("pipeline", tmp_path_factory.mktemp("keys"))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree of lists and mappings."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for name, item in inside for each in paths(item, (*path, name)))]


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the tree with another value at a place."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = put(copy[path[0]], path[1:], value)
    return copy


@given(data=st.data(), value=VALUES)
def test_an_envelope_with_anything_put_anywhere_is_not_believed(
    key: PrivateKey, data: st.DataObject, value: Any
) -> None:
    envelope = json.loads(sign(Statement(Subject("m", 1, 1, "a" * 64), "t", {"x": 1}), key).text)
    path = data.draw(st.sampled_from(paths(envelope)))
    changed = put(envelope, path, value)
    if changed == envelope:
        return
    with pytest.raises(EvidenceError):
        read_envelope(json.dumps(changed)).verify(key.public)


@given(data=st.data(), value=VALUES)
def test_a_signed_payload_with_anything_put_anywhere_is_a_statement_or_refused(
    key: PrivateKey, data: st.DataObject, value: Any
) -> None:
    """Even a trusted key cannot crash the server by what it signs."""
    payload = json.loads(sign(Statement(Subject("m", 1, 1, "a" * 64), "t", {"x": 1}), key).payload)
    changed = json.dumps(put(payload, data.draw(st.sampled_from(paths(payload))), value)).encode()
    message = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(changed), changed)
    with suppress(EvidenceError):
        assert (
            Envelope(changed, key.public.id, key.sign(message)).verify(key.public).subject.version >= 0
            or True
        )


@given(text=st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_or_bytes_are_json_or_refused(text: str | bytes) -> None:
    with suppress(EvidenceError):
        parse_strict_json(text)


@given(cut=st.floats(0, 0.999))
def test_an_envelope_cut_short_is_refused(key: PrivateKey, cut: float) -> None:
    text = sign(Statement(Subject("m", 1, 1, "a" * 64), "t", {}), key).text
    with pytest.raises(EvidenceError):
        read_envelope(text[: int(len(text) * cut)])


@given(signature=st.binary(max_size=80))
def test_no_other_signature_is_believed(key: PrivateKey, signature: bytes) -> None:
    envelope = sign(Statement(Subject("m", 1, 1, "a" * 64), "t", {}), key)
    with pytest.raises(EvidenceError, match="not by key"):
        Envelope(envelope.payload, envelope.key_id, signature).verify(key.public)


@pytest.mark.parametrize("said", SAID, ids=lambda said: type(said).__name__)
@settings(max_examples=60)
@given(data=st.data(), value=VALUES)
def test_what_is_said_with_anything_put_anywhere_is_read_or_refused(
    said: Predicate, data: st.DataObject, value: Any
) -> None:
    predicate = said.as_signed()
    changed = put(predicate, data.draw(st.sampled_from(paths(predicate))), value)
    with suppress(EvidenceError):
        again = read_predicate(predicate_type(said), changed)
        assert json.loads(json.dumps(again.as_signed(), allow_nan=False)) == again.as_signed()


@pytest.mark.parametrize("said", SAID, ids=lambda said: type(said).__name__)
def test_what_is_said_survives_being_signed(said: Predicate, key: PrivateKey) -> None:
    statement = Statement(Subject("m", 1, 1, "a" * 64), predicate_type(said), said.as_signed())
    read = read_envelope(sign(statement, key).text).verify(key.public)
    assert read_predicate(read.predicate_type, read.predicate) == said


@given(uri=st.text(max_size=60))
def test_a_kind_of_statement_that_is_not_known_is_refused(uri: str) -> None:
    with pytest.raises(EvidenceError, match="not known here"):
        read_predicate(uri, {})


def test_evidence_is_not_read_as_an_approval() -> None:
    with pytest.raises(EvidenceError, match="malformed"):
        read_predicate(EVIDENCE_TYPE, SAID[1].as_signed())


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), value=VALUES)
def test_a_policy_with_anything_put_anywhere_is_read_or_refused_with_its_file(
    data: st.DataObject, value: Any
) -> None:
    plain = yaml.safe_load(POLICY.read_text())
    text = yaml.safe_dump(put(plain, data.draw(st.sampled_from(paths(plain))), value), allow_unicode=True)
    try:
        assert isinstance(read_policy(text, "p.yaml"), Policy)
    except ConfigError as error:
        told = str(error)
    else:
        return
    assert all(line.startswith("p.yaml:") for line in told.splitlines())


@given(text=st.text(alphabet="abc:[]{}-'\"\n #&*!|>%@`\t0.é\0", max_size=60))
def test_any_yaml_is_read_or_refused_with_its_file(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^p\.yaml"):
        read_policy(text, "p.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 5_000,
        "- " * 50_000,
        "model: " + "x" * 300_000,
        "a: &a [x]\nb: [*a, *a]",
        "model: !!python/object/apply:os.system ['true']",
        "model: 1e999\nguards: .nan",
        "model: " + "9" * 5_000,
        "? [a, b]\n: c",
        "model: 2026-99-99",
        "model: !!binary '%'",
        "--- a\n--- b",
    ],
)
def test_a_hostile_policy_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^p\.yaml"):
        read_policy(text, "p.yaml")


@pytest.mark.parametrize(
    "name",
    [
        "champi\u043en",
        "ch\u0430mpion",
        "champion\u200b",
        "\uff43hampion",
        "CHAMPİON",
        "ꓚꓧꓮꓟꓑꓲꓳꓠ",
        "Champiꓳn",
        "ᏟᎻᎪᎷᏢᎥᎾɴ",
        "ᴄʜᴀᴍᴘɪᴏɴ",
        "ⲥhampiⲟⲛ",
        "champiøn",
        "🅲🅷🅰🅼🅿🅸🅾🅽",
        "🅒🅗🅐🅜🅟🅘🅞🅝",
        "🇨🇭🇦🇲🇵🇮🇴🇳",
        "cham\u3164pion",
        "cham\u115fpion",
        "cham\uffa0pion",
        "champion\u2800",
        "champion\u2065",
        "champion\ufff0",
        "champion\U000e0020",
        "cham\u200apion",
        "cham\u2009pion",
        "cham\u2028pion",
        "cham\u00adpion",
        "cham\ue000pion",
    ],
)
def test_a_look_alike_of_a_guarded_name_is_guarded(name: str) -> None:
    policy = read_policy(POLICY.read_text(), "p.yaml")
    assert policy.guard_of(Target(kind="alias", name=name)) is not None


@given(name=st.text(max_size=30))
def test_a_name_is_compared_the_same_way_twice(name: str) -> None:
    assert canonical_name(canonical_name(name)) == canonical_name(name)
    target = Target(kind="alias", name=name)
    assert Target.from_label(target.label) == target


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(name=st.text(min_size=1, max_size=20))
def test_a_file_of_any_name_is_hashed_or_refused(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp("model")
    try:
        (folder / name).write_text("x")
    except (OSError, ValueError):
        return
    with suppress(EvidenceError):
        assert len(folder_digest(folder)) == 64


@given(text=st.text(max_size=30) | st.from_regex(r"[0-9TdhZ:+\-]{1,20}", fullmatch=True))
def test_any_date_is_in_the_next_ten_years_or_refused(text: str) -> None:
    with suppress(ConfigError):
        assert NOW < read_until(text, NOW) <= NOW + timedelta(days=3660)


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("2027-01-31", datetime(2027, 1, 31, 23, 59, 59, tzinfo=UTC)),
        (" 2027-01-31T12:00+01:00 ", datetime(2027, 1, 31, 11, tzinfo=UTC)),
        ("14d", NOW + timedelta(days=14)),
        ("6h", NOW + timedelta(hours=6)),
    ],
)
def test_a_date_is_read_as_a_person_means_it(text: str, until: datetime) -> None:
    assert read_until(text, NOW) == until


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0d",
        "-1d",
        "99999d",
        "2026-11-22",
        "2027-02-30",
        "2027-01-31T12:00",
        "tomorrow",
        "９d",
        "9999-12-31",
    ],
)
def test_a_date_that_is_none_or_past_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match=r"such as 2027-01-31"):
        read_until(text, NOW)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=20))
def test_any_name_of_a_key_is_refused_or_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        read_key(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_base64_with_something_else_in_it_is_refused(key: PrivateKey) -> None:
    envelope = json.loads(sign(Statement(Subject("m", 1, 1, "a" * 64), "t", {}), key).text)
    for smuggled in (
        envelope["payload"] + "\n",
        " " + envelope["payload"],
        envelope["payload"].rstrip("=") + "!",
    ):
        with pytest.raises(EvidenceError):
            read_envelope(json.dumps({**envelope, "payload": smuggled})).verify(key.public)
    assert base64.b64decode(envelope["payload"])
