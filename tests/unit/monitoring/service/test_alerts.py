"""Alerts to a real receiver: one for each episode, in order, none lost, and no address ever shown."""

from __future__ import annotations

import json
import socketserver
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import requests
import typer
from typer.testing import CliRunner

from resnet_ops.errors import ConfigError
from resnet_ops_monitoring.cli.commands import add_commands
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.service.alerts import Address, Alerts, configured_addresses, send
from tests.unit.registry.receiver import Receiver, receiving

MODEL = ModelIdentity("digits-classifier", "3", "d" * 64)
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_addresses_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RESNET_OPS_ALERT_URLS", "RESNET_OPS_ALERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def alerts(project: Path) -> Alerts:
    return Alerts(InferenceLog.open())


def address(receiver: Receiver) -> Address:
    return Address(receiver.url.replace("http://", "json://"))


def tell(
    alerts: Alerts, hour: int, troubled: bool, kind: str = "alarm", model: ModelIdentity = MODEL
) -> str | None:
    now = START + timedelta(hours=hour)
    return alerts.follow(
        model, kind, troubled, window=f"hour-{hour}", words=f"in hour {hour}", reminder_hours=24, now=now
    )


def titles(receiver: Receiver) -> list[str]:
    return [message["title"] for message in receiver.messages]


@pytest.mark.slow
def test_an_episode_is_told_when_it_begins_and_when_it_is_over(alerts: Alerts) -> None:
    with receiving() as receiver:
        to = (address(receiver),)
        alerts.register(to)
        for hour, troubled in enumerate([False, True, True, True, False, False, True]):
            tell(alerts, hour, troubled)
            tell(alerts, hour, troubled)
            assert alerts.deliver(to) == []
        assert titles(receiver) == [
            "digits-classifier v3: alarm",
            "digits-classifier v3: alarm is over",
            "digits-classifier v3: alarm",
        ]
        assert receiver.messages[0]["message"] == "in hour 1"
        assert alerts.waiting(to) == 0


def test_an_alarm_that_lasts_is_told_again_after_a_day(alerts: Alerts) -> None:
    told = [tell(alerts, hour, True) for hour in (0, 1, 23, 24, 25, 47, 48)]
    assert told == ["begin", None, None, "reminder", None, None, "reminder"]


def test_kinds_and_versions_have_episodes_of_their_own(alerts: Alerts) -> None:
    other = replace(MODEL, version="4", digest="e" * 64)
    assert tell(alerts, 0, True) == "begin"
    assert tell(alerts, 0, True, "invalid data") == "begin"
    assert tell(alerts, 0, True, model=other) == "begin"
    assert tell(alerts, 1, False) == "end"
    assert tell(alerts, 1, True, model=other) is None


def test_what_could_not_be_delivered_comes_later_in_order_and_holds_no_other_address_up(
    alerts: Alerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resnet_ops_monitoring.service.alerts.LONGEST_WAIT", 0)
    with receiving() as broken, receiving() as sound:
        to = (address(broken), address(sound))
        alerts.register(to)
        broken.answers = [500, 500]
        tell(alerts, 0, True)
        assert alerts.deliver(to) == [str(to[0])]
        assert (len(broken.messages), len(sound.messages)) == (0, 1)
        tell(alerts, 1, False)
        assert alerts.deliver(to) == [str(to[0])]
        assert alerts.waiting(to) == 2
        assert alerts.deliver(to) == []
        assert (
            titles(broken)
            == titles(sound)
            == ["digits-classifier v3: alarm", "digits-classifier v3: alarm is over"]
        )


def test_an_address_that_took_nothing_is_left_alone_for_a_while(
    alerts: Alerts, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_clock = "resnet_ops_monitoring.service.alerts.timedelta"
    monkeypatch.setattr(slow_clock, lambda seconds: timedelta(hours=seconds))  # a busy machine takes seconds
    with receiving() as receiver:
        to = (address(receiver),)
        alerts.register(to)
        receiver.answers = [500]
        tell(alerts, 0, True)
        assert alerts.deliver(to) == [str(to[0])]
        assert alerts.deliver(to) == [str(to[0])]
        assert (receiver.messages, receiver.answers) == ([], [])  # asked once


def test_a_new_address_is_told_of_what_comes_from_then_on(alerts: Alerts) -> None:
    tell(alerts, 0, True)
    with receiving() as receiver:
        to = (address(receiver),)
        alerts.register(to)
        alerts.register(to)
        assert alerts.deliver(to) == []
        tell(alerts, 1, False)
        alerts.deliver(to)
        assert titles(receiver) == ["digits-classifier v3: alarm is over"]


def test_something_done_is_told_once(alerts: Alerts) -> None:
    assert alerts.once(MODEL, "rollback", window="hour-0", words="done", now=START)
    assert not alerts.once(MODEL, "rollback", window="hour-0", words="done", now=START)
    assert alerts.was_told(MODEL, "rollback", "hour-0")
    assert not alerts.was_told(MODEL, "rollback", "hour-1")


def test_addresses_come_from_the_environment_and_a_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured_addresses() == ()
    (project / "urls").write_text("# the team\njsons://example.org/a\n\njson://example.org/b\n")
    monkeypatch.setenv("RESNET_OPS_ALERT_URLS", "json://example.org/b mailto://me:hush@example.org")
    monkeypatch.setenv("RESNET_OPS_ALERT_FILE", "urls")
    found = [each.url for each in configured_addresses()]
    assert found == ["json://example.org/b", "mailto://me:hush@example.org", "jsons://example.org/a"]


@pytest.mark.parametrize("wrong", ["nonsense://hush", "http:///", "hush"])
def test_a_wrong_address_is_told_by_its_place_and_not_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("RESNET_OPS_ALERT_URLS", f"json://example.org {wrong}")
    with pytest.raises(ConfigError, match=r"number 2 \(in RESNET_OPS_ALERT_URLS\)") as caught:
        configured_addresses()
    assert "hush" not in str(caught.value)


def test_a_password_shows_nowhere(
    alerts: Alerts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with receiving() as receiver:
        to = (Address(receiver.url.replace("http://", "json://me:hush-hush@")),)
        receiver.answers = [500]
        alerts.register(to)
        tell(alerts, 0, True)
        (silent,) = alerts.deliver(to)
        assert "hush" not in silent + repr(to) + caplog.text
        assert silent.startswith("json address ")
    assert b"hush" not in Path("var/inference.db").read_bytes()


def test_a_test_message_says_whether_it_arrived(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)
    add_commands(app)
    none = CliRunner().invoke(app, ["monitor", "test-alert"])
    assert none.exit_code == 1
    assert "There is no alert address" in none.stderr
    with receiving() as receiver:
        monkeypatch.setenv("RESNET_OPS_ALERT_URLS", address(receiver).url)
        receiver.answers = [200, 500]
        results = [CliRunner().invoke(app, ["monitor", "test-alert"]) for _ in range(2)]
        assert [each.exit_code for each in results] == [0, 1]
        assert titles(receiver) == ["resnet-ops: a test"]


class _Office(socketserver.TCPServer):
    """A post office on a free port, and the letters that it took."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Clerk)
        self.port, self.letters = int(self.socket.getsockname()[1]), list[Message]()


class _Clerk(socketserver.StreamRequestHandler):
    """As much of SMTP (RFC 5321) as a message needs."""

    server: _Office

    def handle(self) -> None:
        self._say("220 post ready")
        while (line := self.rfile.readline().decode().strip()) and not line.upper().startswith("QUIT"):
            if line.upper() != "DATA":
                self._say("250 post")
                continue
            self._say("354 go on")
            lines = list(iter(self.rfile.readline, b".\r\n"))
            self.server.letters.append(message_from_bytes(b"".join(lines)))
            self._say("250 taken")

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


@pytest.mark.slow
def test_an_alert_goes_out_by_mail(alerts: Alerts) -> None:
    with _Office() as office:
        threading.Thread(target=office.serve_forever, daemon=True).start()
        place = Address(
            f"mailto://127.0.0.1:{office.port}?from=monitor@example.org&to=ada@example.org&mode=insecure"
        )
        alerts.register((place,))
        tell(alerts, 0, True)
        assert alerts.deliver((place,)) == []
        office.shutdown()
    (letter,) = office.letters
    assert (letter["To"], letter["Subject"]) == ("ada@example.org", "digits-classifier v3: alarm")
    text = "".join(str(part.get_payload(decode=True)) for part in letter.walk() if not part.is_multipart())
    assert "in hour 0" in text


def test_an_alert_goes_out_in_slacks_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the way to Slack's own server."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def taken(method: str, url: str, data: str = "", **_: Any) -> requests.Response:
        assert method == "post"
        sent.append((url, json.loads(data)))
        answer = requests.Response()
        answer.status_code, answer._content = 200, b"ok"
        return answer

    monkeypatch.setattr("requests.request", taken)
    assert send(
        Address(f"slack://T1JJ3T3L2/A1BRTD4JD/{'T' * 24}/#line-2"), "v3: alarm", "darker than *before*"
    )
    ((url, said),) = sent
    assert url.startswith("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/")
    assert said["channel"] == "#line-2"
    assert "v3: alarm" in json.dumps(said)
    assert "darker than" in json.dumps(said)
