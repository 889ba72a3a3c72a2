"""Simulated traffic comes at a server as told, and nobody can take it for real."""

import re
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from PIL import Image
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.traffic import BY, Corruption, Plan, Traffic
from tests.unit.monitoring.serving.fake_model import FakeModel, image
from tests.unit.monitoring.serving.live import fake_version, serving
from tests.unit.registry.conftest import NAME


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Of the classes 1 and 2, by their brightness."""
    for level in (1, 2):
        folder = tmp_path / "images" / str(level)
        folder.mkdir(parents=True)
        for number in range(3):
            Image.fromarray(image(10 * number + level)[0, ..., 0]).save(folder / f"{number}.png")
    (tmp_path / "images" / "notes.txt").write_text("none")
    return tmp_path / "images"


def plan(**changes: object) -> Plan:
    told = {"requests": 20, "rate": 2000.0, "sources": 3, "corruption": None, "label_delay": None, "seed": 0}
    return Plan(**{**told, **changes})  # type: ignore[arg-type]


def test_requests_and_labels_are_in_the_log_and_say_that_they_are_simulated(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/log.db"
    monkeypatch.setenv("RESNET_OPS_INFERENCE_LOG", url)
    version = fake_version(FakeModel())
    version.open_log(url)
    with serving(version) as live:
        options = ["--requests", "20", "--rate", "2000", "--sources", "3", "--label-delay", "0"]
        result = CliRunner().invoke(build_app(), ["traffic", str(images), "--url", live.url, *options])
    assert result.exit_code == 0, result.output
    assert "Simulated traffic" in result.output
    assert "20 requests: status 200" in result.output
    assert "20 labels" in result.output
    log = InferenceLog(url)
    rows = log.read(NAME)
    with log.transaction("read") as connection:
        by = connection.exec_driver_sql('SELECT DISTINCT "by" FROM labels').scalars().all()
    log.close()
    assert set(rows["source"]) == {f"simulated camera {number}" for number in (1, 2, 3)}
    assert by == [BY]
    assert (rows["label"] == rows["predicted"]).all()
    assert set(rows["label"]) == {"1", "2"}


def test_the_corruption_begins_after_its_share_and_the_rest_is_sent_as_it_lies(images: Path) -> None:
    files = {path.read_bytes() for path in images.rglob("*.png")}
    sent: dict[int, bytes] = {}

    def ask(query: str, headers: dict[str, str], body: bytes) -> int:
        sent[int(headers["X-Request-Id"].rpartition("-")[2])] = body
        return 200 if len(sent) % 2 else 503

    told = plan(requests=10, corruption=Corruption("gaussian_noise", 5, 0.5))
    found = Traffic(images, told, ask).run(None)
    assert (sum(found.statuses.values()), set(found.statuses), found.labelled) == (10, {200, 503}, 0)
    assert [body in files for _, body in sorted(sent.items())] == [True] * 5 + [False] * 5


def test_what_a_pattern_finds_in_a_path_is_the_group_of_its_image(images: Path) -> None:
    asked: list[str] = []

    def ask(query: str, headers: dict[str, str], body: bytes) -> int:
        asked.append(query)
        return 200

    Traffic(images, plan(group=re.compile("[02].png")), ask).run(None)
    groups = {name for query in asked for name in parse_qs(query).get("group", ["none"])}
    assert groups == {"simulated 0.png", "simulated 2.png", "none"}


def test_a_second_run_sends_the_same_images_under_other_ids(images: Path) -> None:
    runs: list[dict[str, bytes]] = []
    for _ in range(2):
        sent: dict[str, bytes] = {}

        def ask(query: str, headers: dict[str, str], body: bytes, sent: dict[str, bytes] = sent) -> int:
            sent[headers["X-Request-Id"]] = body
            return 200

        Traffic(images, plan(corruption=Corruption("fog", 1, 0.0)), ask).run(None)
        runs.append(sent)
    one, other = runs
    assert not set(one) & set(other)
    by_number = [sorted((int(name.rpartition("-")[2]), body) for name, body in each.items()) for each in runs]
    assert by_number[0] == by_number[1]


def test_what_cannot_be_is_said(images: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        Traffic(tmp_path / "empty", plan(), lambda *_: 200)
    for changes in (
        {"rate": 0.0},
        {"requests": 0},
        {"sources": 0},
        {"corruption": Corruption("fog", 1, 2.0)},
        {"label_delay": float("nan")},
        {"label_delay": float("inf")},
        {"label_delay": -1.0},
    ):
        with pytest.raises(DataError, match="one request"):
            plan(**changes)
    result = CliRunner().invoke(build_app(), ["traffic", str(images), "--corruption", "rain"])
    assert result.exit_code == 1
    assert "gaussian_noise" in result.output
    result = CliRunner().invoke(build_app(), ["traffic", str(images), "--group", "("])
    assert (result.exit_code, "--group" in result.output) == (1, True)
    nobody = ["traffic", str(images), "--url", "http://127.0.0.1:9"]
    result = CliRunner().invoke(build_app(), nobody)
    assert (result.exit_code, "127.0.0.1:9" in result.output) == (1, True)


def test_an_image_that_cannot_be_corrupted_is_named(images: Path) -> None:
    broken = images / "1" / "broken.png"
    broken.write_bytes((images / "1" / "0.png").read_bytes()[:50])
    told = plan(requests=200, corruption=Corruption("fog", 1, 0.0))
    with pytest.raises(DataError, match=r"broken\.png"):
        Traffic(images, told, lambda *_: 200).run(None)
