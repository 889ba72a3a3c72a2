"""A challenger is asked what the champion answered, and no client notices."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
import pytest

from resnet_ops.errors import GateDenied
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.source import Alias
from resnet_ops_monitoring.serving.version import Version
from resnet_ops_registry.client.promotion import promote
from resnet_ops_registry.common.connection import connect
from tests.unit.core.tasks.threshold_model import ThresholdModel
from tests.unit.monitoring.scene import Scene
from tests.unit.monitoring.serving.fake_alias import FakeAlias, other_version
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import SETTINGS, Live, fake_version, serving, until
from tests.unit.registry.conftest import NAME, make_model, publish_model

SOON = 0.01


@contextmanager
def shadowed(
    model: FakeModel, alias: FakeAlias, url: str | None = None, waiting: int = 256, **changes: Any
) -> Iterator[Live]:
    """A champion that answers, and another version in shadow; url: of the log; changes: of the settings."""

    def prepare(version: Version) -> None:
        if url is not None:
            version.open_log(url)

    champion, params = fake_version(model), replace(SETTINGS.shadow, max_waiting=waiting)
    prepare(champion)
    with serving(
        champion,
        prepare=prepare,
        shadow=alias.as_alias,
        poll_seconds=SOON,
        shadow_params=params,
        **changes,
    ) as live:
        shadow = live.scoring.shadow
        assert shadow is not None
        until(lambda: alias.at is None or shadow.follower.current is not None)
        yield live


def counts(live: Live) -> dict[str, int]:
    return dict(live.get("/v1/status").json()["shadow"]["requests"])


def test_the_challengers_answers_are_rows_in_shadow_and_nobodys_answer(tmp_path: Path) -> None:
    url, challenger = f"sqlite:///{tmp_path}/log.db", FakeModel()
    alias = FakeAlias(other_version(challenger, route="shadow"), "shadow")
    with shadowed(FakeModel(), alias, url) as live:
        for level in range(5):
            answer = live.score(image(level), headers={"X-Request-Id": f"r{level}"})
            assert answer.json()["version"] == "3"
        live.score(image(7, 2), "/v1/score?source=line%201&group=part%207", headers={"X-Request-Id": "batch"})
        until(lambda: counts(live) == {"answered": 6})
        metrics = live.get("/metrics").text
        assert 'resnet_ops_serving_shadow_requests_total{outcome="answered"} 6.0' in metrics
        assert metrics.count("resnet_ops_inference_log_recorded_total{") == 2
    log = InferenceLog(url)
    served, unseen = log.read(NAME), log.read(NAME, routes=("shadow",))
    log.close()
    assert (set(served["version"]), set(unseen["version"])) == ({"3"}, {"4"})
    assert sorted(served["request_id"]) == sorted(unseen["request_id"])
    both = served.merge(unseen, on="request_id")
    assert (both["predicted_x"] == both["predicted_y"]).all()
    assert (both["time_y"] - both["time_x"]).abs().dt.total_seconds().max() < 60
    for rows in (served, unseen):
        batch = rows[rows["request_id"].str.startswith("batch#")]
        assert (set(batch["source"]), set(batch["group"])) == ({"line 1"}, {"part 7"})
        assert rows["group"].isna().sum() == 5


def test_a_challenger_that_is_withdrawn_leaves_memory() -> None:
    alias = FakeAlias(other_version(FakeModel(), route="shadow"), "shadow")
    with shadowed(FakeModel(), alias) as live:
        live.score(image(1))
        until(lambda: counts(live) == {"answered": 1})
        assert alias.at is not None
        model = ref(alias.at.model)
        alias.at = None
        until(lambda: gc.collect() >= 0 and model() is None)


def test_clients_do_not_wait_for_a_challenger_that_hangs_and_what_finds_no_room_is_counted(
    tmp_path: Path,
) -> None:
    url, hanging = f"sqlite:///{tmp_path}/log.db", FakeModel(answering=False)
    alias = FakeAlias(other_version(hanging, route="shadow"), "shadow")
    with shadowed(FakeModel(), alias, url, waiting=2) as live:
        live.score(image(1), headers={"X-Request-Id": "first"})
        assert hanging.begun.wait(60)
        for row in range(5):
            assert live.score(image(1), headers={"X-Request-Id": f"r{row}"}).status_code == 200
        assert counts(live) == {"dropped": 3}
        assert live.get("/v1/status").json()["shadow"]["waiting"] == 2
        hanging.go.set()
        until(lambda: counts(live) == {"answered": 3, "dropped": 3})
    log = InferenceLog(url)
    outcomes = log.outcomes(NAME, routes=("shadow",))
    assert (outcomes.refused, len(log.read(NAME, routes=("shadow",)))) == (3, 3)
    assert (log.outcomes(NAME).refused, len(log.read(NAME))) == (0, 6)
    log.close()


def test_the_challenger_is_asked_only_while_the_champion_has_nothing_to_do() -> None:
    champion, challenger = FakeModel(), FakeModel()
    alias = FakeAlias(other_version(challenger, route="shadow"), "shadow")
    with shadowed(champion, alias) as live:
        shadow = live.scoring.shadow
        assert shadow is not None
        shadow._idle = lambda: False
        live.score(image(2))
        assert (shadow.waiting, challenger.asked) == (1, [])
        shadow._idle = lambda: True
        until(lambda: counts(live) == {"answered": 1})


def test_what_the_challenger_fails_at_is_counted_and_the_client_has_its_answer() -> None:
    broken = FakeModel()
    broken.fault = RuntimeError("no such kernel")
    alias = FakeAlias(other_version(broken, route="shadow"), "shadow")
    with shadowed(FakeModel(), alias) as live:
        assert live.score(image(1)).status_code == 200
        until(lambda: counts(live) == {"failed": 1})


def test_a_challenger_with_masks_is_asked_for_a_batch_at_most(tmp_path: Path) -> None:
    url, champion = f"sqlite:///{tmp_path}/log.db", FakeModel()
    champion.image_size = 16
    alias = FakeAlias(other_version(ThresholdModel(), route="shadow"), "shadow")
    with shadowed(champion, alias, url, max_batch=4) as live:
        for count in (4, 5):
            assert live.score(np.zeros((count, 16, 16, 1), np.uint8)).status_code == 200
        until(lambda: counts(live) == {"answered": 1, "dropped": 1})
    log = InferenceLog(url)
    assert (log.outcomes(NAME, routes=("shadow",)).refused, len(log.read(NAME, routes=("shadow",)))) == (1, 4)
    log.close()


def test_the_same_files_are_not_asked_twice(tmp_path: Path) -> None:
    url, same = f"sqlite:///{tmp_path}/log.db", FakeModel()
    alias = FakeAlias(other_version(same, digest="d", route="shadow"), "shadow")
    with shadowed(FakeModel(), alias, url) as live:
        assert live.score(image(1)).status_code == 200
    assert not same.asked
    log = InferenceLog(url)
    assert (len(log.read(NAME)), len(log.read(NAME, routes=("shadow",)))) == (1, 0)
    log.close()


def test_it_is_another_version_once_the_alias_moves_and_none_once_it_is_gone() -> None:
    first, second = FakeModel(), FakeModel()
    alias = FakeAlias(other_version(first, route="shadow"), "shadow")
    with shadowed(FakeModel(), alias) as live:
        alias.at = other_version(second, 5, "f", "shadow")
        until(lambda: live.get("/v1/status").json()["shadow"]["version"]["version"] == "5")
        live.score(image(1))
        until(lambda: len(second.asked) == 1)
        alias.at = None
        until(lambda: live.get("/v1/status").json()["shadow"]["version"] is None)
        assert live.get("/v1/status").json()["shadow"]["trouble"] == ""
        assert live.score(image(1)).status_code == 200
    assert not first.asked


@pytest.mark.slow
def test_only_what_the_gate_would_let_answer_is_put_beside_the_champion(scene: Scene) -> None:
    champion = Alias(NAME, "champion", ungated=False, threads=1)
    challenger, canary = champion.beside("challenger", "shadow"), champion.beside("canary", "canary")
    promote(NAME, 2, "challenger")
    found = challenger.load(challenger.place())
    assert (found.identity.version, found.gate, found.route) == ("2", "passed @champion", "shadow")
    source = connect().get_model_version(NAME, "1").source or ""
    unsigned = int(connect().create_model_version(NAME, source).version)
    connect().set_registered_model_alias(NAME, "canary", str(unsigned))
    with pytest.raises(Exception, match="no evidence"):
        canary.load(canary.place())
    weak = publish_model(connect(), make_model(scene.folder / "models/another", 7), low=0.5).version
    connect().set_registered_model_alias(NAME, "canary", str(weak))
    with pytest.raises(GateDenied, match="may not answer for @champion"):
        canary.load(canary.place())
