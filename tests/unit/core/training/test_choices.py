"""`auto` is measured once, and a repeat uses what the first run chose."""

import json
from pathlib import Path

import psutil
import pytest

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.training.choices import settle
from resnet_ops.training.loop import fit
from tests.unit.core.makers import make_plan, make_recipe


@pytest.mark.slow
def test_the_first_run_measures_and_a_repeat_does_as_it_did(
    small: PreparedData, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "threads.json"
    chosen = settle(make_plan(threads="auto"), small, path).engine.threads
    assert chosen in range(1, (psutil.cpu_count() or 1) + 1)
    said = capsys.readouterr().out
    assert f"tiny trains with {chosen} threads" in said
    assert "1: " in said
    path.write_text(path.read_text().replace(f": {chosen}", ": 64"))  # another machine chose
    assert settle(make_plan(threads="auto"), small, path).engine.threads == 64
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_another_training_is_measured_by_itself(small: PreparedData, tmp_path: Path) -> None:
    path = tmp_path / "threads.json"
    for plan in (make_plan(threads="auto"), make_plan(make_recipe(batch_size=8), threads="auto")):
        settle(plan, small, path)
    assert len(json.loads(path.read_text())) == 2


def test_a_number_of_threads_is_taken_as_it_is(small: PreparedData, tmp_path: Path) -> None:
    plan = make_plan(threads=2)
    assert settle(plan, small, tmp_path / "threads.json") is plan
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["[]", '{"tiny": "two"}', '{"tiny": 0}', '{"tiny": true}'])
def test_a_broken_list_is_named(content: str, small: PreparedData, tmp_path: Path) -> None:
    path = tmp_path / "threads.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"threads\.json is not a list"):
        settle(make_plan(threads="auto"), small, path)


def test_training_refuses_what_is_not_settled(small: PreparedData) -> None:
    with pytest.raises(ConfigError, match=r"train\.threads is still auto"):
        fit(make_plan(threads="auto"), small)
