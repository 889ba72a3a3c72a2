"""Links lead to the server that is used."""

import pytest

from resnet_ops_registry.common.settings import ui_address

HERE = "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("tracking", "said", "address"),
    [
        (None, HERE, HERE),
        ("sqlite:///x.db", "http://localhost:5001/", "http://localhost:5001"),
        ("https://mlflow.example.org/tools/mlflow/", HERE, "https://mlflow.example.org/tools/mlflow"),
        ("http://me:secret@127.0.0.1:8080/tools", HERE, "http://127.0.0.1:8080/tools"),
        ("http://10.0.0.7:5000", "https://mlflow.example.org", "https://mlflow.example.org"),
    ],
)
def test_the_address_is_that_of_the_server_unless_another_is_said(
    monkeypatch: pytest.MonkeyPatch, tracking: str | None, said: str, address: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if tracking:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    assert ui_address(said) == address
