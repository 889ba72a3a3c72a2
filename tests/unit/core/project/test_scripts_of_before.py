"""What scripts of an earlier release import from the folder `pipelines` is found there."""

from importlib import import_module
from pathlib import Path

import pytest

from resnet_ops.errors import DataError
from resnet_ops_pipelines import serving as serving_now

PIPELINES = Path(__file__).resolve().parents[4] / "pipelines"


def test_the_version_that_serves_comes_in_three_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(PIPELINES))
    serving = import_module("serving")
    found = serving_now.Serving("model", "identity", "champion", None, None)  # type: ignore[arg-type]
    monkeypatch.setattr(serving_now, "read_serving", lambda: found)
    assert serving.read_serving() == ("model", "identity", "champion")
    monkeypatch.setattr(serving_now, "read_serving", lambda: None)
    with pytest.raises(DataError, match="nothing to monitor"):
        serving.read_serving()


def test_the_production_split_is_read_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(PIPELINES))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="data/production"):
        import_module("traffic").production()
