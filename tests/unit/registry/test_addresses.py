"""Links lead to the server that is used."""

from urllib.parse import unquote

import pytest

from resnet_ops_pipelines.show_summary import page_of
from resnet_ops_registry.common.settings import ui_address
from resnet_ops_registry.operations.server import TRAINING_VIEW

HERE = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("tracking", "said", "address"),
    [
        (None, HERE, HERE),
        ("sqlite:///x.db", "http://localhost:5001/", "http://localhost:5001"),
        ("https://mlflow.example.org/tools/mlflow/", HERE, "https://mlflow.example.org/tools/mlflow"),
        ("http://me:secret@127.0.0.1:8080/tools", HERE, "http://127.0.0.1:8080/tools"),
        ("http://10.0.0.7:5000", "https://mlflow.example.org", "https://mlflow.example.org"),
        (None, "https://me:secret@mlflow.example.org/tools/", "https://mlflow.example.org/tools"),
        ("http://[fd00::7]:5000/", "http://[::1]:5000", "http://[fd00::7]:5000"),
        ("HTTPS://mlflow.example.org", HERE, "https://mlflow.example.org"),
    ],
)
def test_the_address_is_that_of_the_server_unless_another_is_said(
    monkeypatch: pytest.MonkeyPatch, tracking: str | None, said: str, address: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if tracking:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    assert ui_address(said) == address


def test_the_page_of_a_model_of_any_name_is_one_word() -> None:
    for name in ("scan [v2]", "Schrauben (Köln)", "a?b#c&d%e", "数字", "it's"):
        address = page_of(name, HERE)
        path, _, view = address.rpartition("?")
        assert view == TRAINING_VIEW
        assert not set(" [#&'\"<>").intersection(path.removeprefix(f"{HERE}/#/models/"))
        assert unquote(path.removeprefix(f"{HERE}/#/models/")) == name
