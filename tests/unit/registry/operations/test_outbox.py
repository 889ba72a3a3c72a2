"""Decisions told to a webhook: signed, in order, none lost."""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import update

from resnet_ops.errors import ConfigError, GateDenied
from resnet_ops_registry import promote
from resnet_ops_registry.client.publish import Published
from resnet_ops_registry.database.ledger import list_entries
from resnet_ops_registry.database.tables import deliveries, open_database
from resnet_ops_registry.operations import outbox
from resnet_ops_registry.operations.outbox import Endpoint, configured_endpoint, send_due
from tests.unit.registry.receiver import Receiver, receiving

NAME = "digits-classifier"
SECRET = "a secret of both sides"
Publisher = Callable[..., Published]

pytestmark = pytest.mark.usefixtures("policy")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def endpoint(client: MlflowClient, receiver: Receiver) -> Endpoint:
    endpoint = Endpoint(receiver.url, SECRET)
    assert send_due(endpoint).sent == 0
    return endpoint


def decide(published: Publisher) -> None:
    """A promotion that is allowed, a removal, and one that is refused."""
    promote(NAME, published().version, "champion")
    from resnet_ops_registry.common.connection import connect

    connect().delete_registered_model_alias(NAME, "champion")
    published(low=0.9)
    with pytest.raises(GateDenied):
        promote(NAME, 1, "champion")


def due_again() -> None:
    with open_database() as connection:
        connection.execute(update(deliveries).values(next_at=0))


@pytest.mark.slow
def test_every_decision_is_told_once_and_in_order(
    endpoint: Endpoint, receiver: Receiver, published: Publisher
) -> None:
    decide(published)
    assert send_due(endpoint).sent == 3
    assert [message["type"] for message in receiver.messages] == ["allowed", "removed", "refused"]
    assert [message["seq"] for message in receiver.messages] == sorted(m["seq"] for m in receiver.messages)
    refused = receiver.messages[2]["event"]
    assert (refused["model"], refused["version"], refused["target"]) == (NAME, 1, "@champion")
    assert "below 0.95" in refused["detail"]["reasons"][0]
    assert send_due(endpoint).sent == 0
    assert len(receiver.messages) == 3


@pytest.mark.slow
def test_a_message_is_signed(endpoint: Endpoint, receiver: Receiver, published: Publisher) -> None:
    promote(NAME, published().version, "champion")
    send_due(endpoint)
    headers, body = receiver.headers[0], receiver.bodies[0]
    signed = headers["X-Resnet-Ops-Timestamp"].encode() + b"." + body
    expected = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Resnet-Ops-Signature"] == f"sha256={expected}"
    with open_database() as connection:
        (entry,) = [e for e in list_entries(connection) if e.event.outcome == "allowed"]
    assert headers["X-Resnet-Ops-Id"] == receiver.messages[0]["id"] == entry.hash


@pytest.mark.slow
def test_what_failed_is_tried_again_later_and_nothing_overtakes_it(
    endpoint: Endpoint, receiver: Receiver, published: Publisher
) -> None:
    decide(published)
    receiver.answers = [200, 503]
    assert send_due(endpoint) == outbox.Delivery(1, "status 503")
    assert send_due(endpoint).sent == 0, "not yet: a second has to pass"
    due_again()
    receiver.answers = [500]
    assert send_due(endpoint).problem == "status 500"
    with open_database() as connection:
        row = connection.execute(deliveries.select()).one()
    assert row.attempts == 2
    due_again()
    assert send_due(endpoint).sent == 2
    assert [message["type"] for message in receiver.messages] == ["allowed", "removed", "refused"]


@pytest.mark.slow
def test_a_redirect_or_a_dead_endpoint_is_a_failure(
    client: MlflowClient, endpoint: Endpoint, receiver: Receiver, published: Publisher
) -> None:
    dead = Endpoint("http://127.0.0.1:9/hook", SECRET)
    assert send_due(dead).sent == 0
    promote(NAME, published().version, "champion")
    receiver.answers = [302]
    assert send_due(endpoint).problem == "status 302"
    assert send_due(dead).problem == "ConnectionError"


@pytest.mark.slow
def test_a_crash_after_sending_sends_the_same_id_again(
    endpoint: Endpoint, receiver: Receiver, published: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(NAME, published().version, "champion")
    noted = outbox._note

    def crash(*arguments: Any) -> None:
        if receiver.messages:
            raise KeyboardInterrupt
        noted(*arguments)

    monkeypatch.setattr(outbox, "_note", crash)
    with pytest.raises(KeyboardInterrupt):
        send_due(endpoint)
    monkeypatch.setattr(outbox, "_note", noted)
    assert send_due(endpoint).sent == 0, "the lease of the one that crashed still runs"
    due_again()
    assert send_due(endpoint).sent == 1
    assert receiver.messages[0]["id"] == receiver.messages[1]["id"]


@pytest.mark.slow
def test_a_new_endpoint_may_be_told_of_all_that_was_decided(
    client: MlflowClient, receiver: Receiver, published: Publisher
) -> None:
    promote(NAME, published().version, "champion")
    endpoint = Endpoint(receiver.url, SECRET)
    assert send_due(endpoint, from_start=True).sent == 1


@pytest.mark.parametrize(
    ("url", "secret", "problem"),
    [
        ("ftp://x", SECRET, "not an http address"),
        ("http://", SECRET, "not an http address"),
        ("http://x", "short", "16 char"),
    ],
)
def test_bad_settings_are_named(url: str, secret: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_OPS_WEBHOOK_URL", url)
    monkeypatch.setenv("RESNET_OPS_WEBHOOK_SECRET", secret)
    with pytest.raises(ConfigError, match=problem):
        configured_endpoint()


def test_without_a_url_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESNET_OPS_WEBHOOK_URL", raising=False)
    assert configured_endpoint() is None
