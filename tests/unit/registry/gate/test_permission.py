"""What a server that answers over http may serve, by what the gate wrote on the version."""

import pytest
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

from resnet_ops_registry.gate.permission import why_not


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("passes", None),
        ("passes until 2999-01-01 00:00 UTC", None),
        ("passes until 2020-01-01 00:00 UTC", "it passed until 2020-01-01"),
        ("refused: test.top1 is too low", "test.top1 is too low"),
        ("would have been refused: test.top1 is too low", "test.top1 is too low"),
    ],
)
def test_a_version_answers_only_while_its_verdict_lasts(
    written: str, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    version = ModelVersion("digits", "1", 0, tags=[ModelVersionTag("gate champion", written)])  # type: ignore[no-untyped-call]
    said = why_not(version, "champion")
    assert said is None if reason is None else reason in str(said)
    assert "no policy guards" in str(why_not(version, "other"))
