"""A share of the requests goes to a canary, always the same ones, until it is proven worse."""

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops_monitoring.inference_log.labels import give_labels
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving import canary as canary_module
from resnet_ops_monitoring.serving.canary import Canary, Comparison, is_drawn
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_monitoring.settings.serving import CanaryParams
from tests.unit.monitoring.serving.fake_alias import FakeAlias, other_version
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import SETTINGS, Live, fake_version, serving, until
from tests.unit.registry.conftest import NAME

SOON, KEY = 0.01, b"the same draws in each run"
HALF = replace(SETTINGS.canary, share=0.5, slow_ms=60_000)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is remembered what was stopped."""
    monkeypatch.chdir(tmp_path)


@contextmanager
def tried(
    model: FakeModel,
    alias: FakeAlias,
    url: str | None = None,
    canary_params: CanaryParams = HALF,
    **changes: Any,
) -> Iterator[Live]:
    """A canary with half of the requests beside a champion."""

    def prepare(version: Version) -> None:
        if url is not None:
            version.open_log(url)

    champion = fake_version(model)
    prepare(champion)
    with serving(
        champion,
        prepare=prepare,
        canary=alias.as_alias,
        log=url,
        poll_seconds=SOON,
        canary_params=canary_params,
        **changes,
    ) as live:
        yield live


def wait_for_canary(live: Live) -> None:
    canary = canary_of(live)
    until(lambda: canary.follower.current is not None)
    canary.key = KEY


def canary_of(live: Live) -> Canary:
    canary = live.scoring.canary
    assert canary is not None
    return canary


def ask(live: Live, name: str, level: int = 1) -> tuple[int, str]:
    answer = live.score(image(level), headers={"X-Request-Id": name})
    return answer.status_code, answer.headers.get("X-Model-Version", "")


def test_a_share_of_requests_is_the_canarys_by_their_ids() -> None:
    alias = FakeAlias(other_version(FakeModel(), route="canary"), "canary")
    with tried(FakeModel(), alias) as live:
        wait_for_canary(live)
        first = {f"r{row}": ask(live, f"r{row}")[1] for row in range(30)}
        assert set(first.values()) == {"3", "4"}
        assert {name: ask(live, name)[1] for name in first} == first
        status = live.get("/v1/status").json()["canary"]
    assert (status["version"]["version"], status["share"]) == ("4", 0.5)
    assert sum(each["answered"] for each in status["requests"].values()) == 60
    canarys = sum(version == "4" for version in first.values())
    assert status["requests"]["canary"]["answered"] == 2 * canarys


def test_the_share_is_met_and_differs_by_version() -> None:
    names = [f"request {row}" for row in range(20_000)]
    one, other = ([is_drawn(name, digest * 64, 0.05, KEY) for name in names] for digest in "ef")
    assert sum(one) == pytest.approx(1000, abs=150)  # five standard deviations
    assert sum(a and b for a, b in zip(one, other, strict=True)) < 150


def test_a_canary_that_fails_is_stopped_and_stays_so(tmp_path: Path) -> None:
    broken = FakeModel()
    broken.fault = RuntimeError("no such kernel")
    alias = FakeAlias(other_version(broken, route="canary"), "canary")
    with tried(FakeModel(), alias) as live:
        wait_for_canary(live)
        answers = [ask(live, f"r{row}")[0] for row in range(60)]
        assert 5 <= answers.count(500) < 30
        assert answers[-10:] == [200] * 10
        until(lambda: live.get("/v1/status").json()["canary"]["version"] is None)
        until(lambda: "was stopped as a canary" in live.get("/v1/status").json()["canary"]["trouble"])
        assert "resnet_ops_serving_canary_stopped 1.0" in live.get("/metrics").text
        assert live.get("/v1/status").json()["canary"]["requests"]["canary"]["failed"] == answers.count(500)
    with tried(FakeModel(), alias) as again:
        until(lambda: "failures of the canary" in again.get("/v1/status").json()["canary"]["trouble"])
        assert {ask(again, f"r{row}") for row in range(20)} == {(200, "3")}
        said = CliRunner().invoke(build_app(), ["serve", "status", "--url", again.url])
        assert (said.exit_code, "failures of the canary" in said.output) == (1, True)
        assert "No trouble" not in said.output
        assert "resnet_ops_serving_canary_stopped 1.0" in again.get("/metrics").text


def test_whoever_comes_after_a_canary_that_was_stopped_is_judged_by_their_own_answers(tmp_path: Path) -> None:
    broken = FakeModel()
    broken.fault = RuntimeError("no such kernel")
    alias = FakeAlias(other_version(broken, route="canary"), "canary")
    with tried(FakeModel(), alias) as live:
        wait_for_canary(live)
        for row in range(60):
            ask(live, f"r{row}")
        until(lambda: "was stopped as a canary" in live.get("/v1/status").json()["canary"]["trouble"])
        failures = live.get("/v1/status").json()["canary"]["requests"]["canary"]["failed"]
        canary_of(live).params = replace(HALF, slow_ms=0.001)
        ask(live, "slow")  # of the champion, while there is no canary: no fault in comparison with one
        requests = live.get("/v1/status").json()["canary"]["requests"]
        assert (requests["canary"]["failed"], requests["champion"]["slow"]) == (failures, 0)
        canary_of(live).params = HALF
        alias.at = other_version(FakeModel(), 5, "f", route="canary")
        wait_for_canary(live)
        assert {ask(live, f"s{row}") for row in range(20)} == {(200, "3"), (200, "5")}
        looks = alias.looks
        until(lambda: alias.looks > looks + 2)
        assert live.get("/v1/status").json()["canary"]["version"]["version"] == "5"
    assert len(list((tmp_path / "var" / "canaries-stopped").iterdir())) == 1


def test_a_canary_that_is_withdrawn_leaves_memory() -> None:
    alias = FakeAlias(other_version(FakeModel(), route="canary"), "canary")
    with tried(FakeModel(), alias) as live:
        wait_for_canary(live)
        assert len({ask(live, f"r{row}") for row in range(20)}) == 2
        assert alias.at is not None
        model = ref(alias.at.model)
        alias.at = None
        until(lambda: canary_of(live).follower.current is None)
        until(lambda: gc.collect() >= 0 and model() is None)


def test_a_canary_that_cannot_read_what_the_champion_answers_is_stopped() -> None:
    larger = FakeModel()
    larger.image_size = 16
    with tried(FakeModel(), FakeAlias(other_version(larger, route="canary"), "canary")) as live:
        wait_for_canary(live)
        answers = [ask(live, f"r{row}")[0] for row in range(60)]
        assert 5 <= answers.count(400) < 30
        assert answers[-10:] == [200] * 10


def test_a_canary_that_hangs_does_not_take_the_champions_places() -> None:
    hanging = FakeModel(answering=False)
    alias = FakeAlias(other_version(hanging, route="canary"), "canary")
    params = replace(HALF, share=0.25)
    with tried(FakeModel(), alias, max_requests=4, canary_params=params) as live:
        wait_for_canary(live)
        drawn = {f"r{row}": is_drawn(f"r{row}", "e" * 64, 0.25, KEY) for row in range(100)}
        mine, others = ([name for name in drawn if drawn[name] is each] for each in (True, False))
        with ThreadPoolExecutor(2) as clients:
            waits = [clients.submit(ask, live, name) for name in mine[:2]]
            until(lambda: live.scoring.under_way == 2)
            assert ask(live, mine[2])[0] == 503
            assert {ask(live, name) for name in others[:20]} == {(200, "3")}
            hanging.go.set()
            assert {each.result() for each in waits} == {(200, "4")}
        assert ask(live, mine[2]) == (200, "4")


def test_a_canary_that_hangs_is_nothing_to_the_next_one() -> None:
    hanging = FakeModel(answering=False)
    alias = FakeAlias(other_version(hanging, route="canary"), "canary")
    with tried(FakeModel(), alias, answer_seconds=1.0) as live:
        wait_for_canary(live)
        mine = next(f"r{row}" for row in range(100) if is_drawn(f"r{row}", "e" * 64, 0.5, KEY))
        assert ask(live, mine)[0] == 504
        alias.at = other_version(FakeModel(), 5, "f", route="canary")
        until(lambda: canary_of(live).follower.current is alias.at)
        assert {ask(live, f"s{row}") for row in range(20)} == {(200, "3"), (200, "5")}
        hanging.go.set()


def test_who_does_not_know_a_servers_key_cannot_choose_the_version() -> None:
    names = [f"request {row}" for row in range(1000)]
    one, other = ([is_drawn(name, "e" * 64, 0.5, key) for name in names] for key in (b"one", b"other"))
    assert 400 < sum(a is b for a, b in zip(one, other, strict=True)) < 600


def test_what_fails_alike_stops_nobody() -> None:
    comparison = Comparison(other_version(FakeModel(), route="canary"), fake_version(FakeModel()))
    for row in range(500):
        name = f"r{row}"
        comparison.note(
            "canary" if is_drawn(name, "e" * 64, HALF.share, KEY) else "champion",
            name,
            "failed",
            answered=False,
        )
        assert comparison.worse(HALF) == ""


def test_a_request_that_is_sent_again_proves_nothing_more() -> None:
    comparison = Comparison(other_version(FakeModel(), route="canary"), fake_version(FakeModel()))
    assert comparison.note("canary", "poison", "failed", answered=False)
    assert not any(comparison.note("canary", "poison", "failed", answered=False) for _ in range(100))
    assert comparison.worse(HALF) == ""


def test_each_version_is_judged_by_labels_of_its_own_answers(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    alias = FakeAlias(other_version(FakeModel(), route="canary"), "canary")
    with tried(FakeModel(), alias, url) as live:
        wait_for_canary(live)
        version_of = {f"r{row}": ask(live, f"r{row}")[1] for row in range(60)}
        log = InferenceLog(url)
        until(lambda: log.count(NAME).get("") is not None and log.count(NAME)[""].rows == 60)
        # both answer 1; what the canary had is labelled 2
        truths = ["2" if version == "4" else "1" for version in version_of.values()]
        give_labels(log, list(version_of), truths, by="ada", at=datetime.now(UTC), chosen="random")
        until(lambda: "wrong answers by labels" in live.get("/v1/status").json()["canary"]["trouble"])
        found = live.get("/v1/status").json()["canary"]["requests"]
        assert (found["champion"]["wrong"], found["canary"]["wrong"]) == (0, truths.count("2"))
        right = {version: log.count(NAME, version=version)[""].right for version in ("3", "4")}
        log.close()
    assert right == {"3": truths.count("1"), "4": 0}


def test_labels_in_a_large_log_are_counted_for_a_small_part_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, counted = [1000.0], list[object]()

    def count_right(*_: object) -> tuple[int, int]:
        counted.append(now[0])
        now[0] += 5
        return 0, 0

    monkeypatch.setattr(canary_module, "monotonic", lambda: now[0])
    monkeypatch.setattr(canary_module, "count_right", count_right)
    alias = FakeAlias(other_version(FakeModel(), route="canary"), "canary")
    with tried(FakeModel(), alias, f"sqlite:///{tmp_path}/log.db") as live:
        wait_for_canary(live)
        ask(live, "first")
        until(lambda: len(counted) >= 2)
        looks = alias.looks
        until(lambda: alias.looks > looks + 3)
        assert counted == [1000, 1005]
        now[0] = 1000 + 10 * 25
        until(lambda: len(counted) >= 4)


def test_slow_answers_count_and_the_canarys_queue_is_its_own() -> None:
    hanging = FakeModel(answering=False)
    alias = FakeAlias(other_version(hanging, route="canary"), "canary")
    with tried(FakeModel(), alias) as live:
        wait_for_canary(live)
        mine = next(f"r{row}" for row in range(100) if is_drawn(f"r{row}", "e" * 64, 0.5, KEY))
        others = next(f"r{row}" for row in range(100) if not is_drawn(f"r{row}", "e" * 64, 0.5, KEY))
        with ThreadPoolExecutor(1) as client:
            waits = client.submit(ask, live, mine)
            assert hanging.begun.wait(60)
            assert ask(live, others) == (200, "3")
            assert not waits.done()
            canary_of(live).params = replace(HALF, slow_ms=0.001)
            hanging.go.set()
            assert waits.result() == (200, "4")
        assert live.get("/v1/status").json()["canary"]["requests"]["canary"]["slow"] == 1


def test_the_same_files_are_no_canary() -> None:
    same = FakeModel()
    with tried(FakeModel(), FakeAlias(other_version(same, digest="d", route="canary"), "canary")) as live:
        wait_for_canary(live)
        assert {ask(live, f"r{row}") for row in range(20)} == {(200, "3")}
    assert not same.asked
