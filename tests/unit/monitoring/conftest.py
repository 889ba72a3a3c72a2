"""A real network on real digits, trained once (2 s), and frames of its predictions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from resnet_ops.data import PreparedData
from resnet_ops.families.member import Member
from resnet_ops.model import save_model
from resnet_ops.model_files import model_digest
from resnet_ops.predictions import Predictions
from resnet_ops.training.loop import fit
from resnet_ops_monitoring.drift.reference import Reference, build_reference
from resnet_ops_monitoring.inference_log.frames import matrix
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.serving.scorer import Scorer
from resnet_ops_monitoring.settings.drift import DriftParams
from resnet_ops_monitoring.settings.service import RunParams
from tests.unit.core.makers import digits, make_plan, make_recipe
from tests.unit.registry.conftest import no_waiting_for_the_disk as no_waiting_for_the_disk

HOURLY = RunParams(
    alias="champion",
    minutes=60,
    rows=0,
    settle_seconds=0,
    late_windows=1,
    min_alarms=1,
    windows=1,
    false_alarms_per_day=1,
)
"""Windows of an hour, each of which alarms by itself."""
PARAMS = DriftParams(
    alpha=0.05,
    min_rows=50,
    max_unusable=0.05,
    max_lost=0.05,
    permutations=199,
    test_rows=300,
    softmax_effect=0.03,
    classes_effect=0.05,
    embeddings_effect=0.05,
    embeddings_loss=0.02,
    image_effect=0.1,
    confidence=0.95,
    season_weeks=4,
    season_least=2,
    max_sources=20,
    seed=0,
)


@pytest.fixture
def params() -> DriftParams:
    return PARAMS


@dataclass(frozen=True)
class Served:
    """A trained model in service, its reference, and images that it never saw."""

    scorer: Scorer
    identity: ModelIdentity
    reference: Reference
    data: PreparedData

    def score(
        self, images: NDArray[np.uint8], window: str = "w", labels: list[str] | None = None
    ) -> pd.DataFrame:
        times = pd.date_range("2026-01-05T08:00Z", periods=len(images), freq="30s").to_pydatetime().tolist()
        ids = [f"{window}-{i}" for i in range(len(images))]
        return self.scorer.score(images, ids, times, source="camera 1", window=window, labels=labels)

    @property
    def unseen(self) -> NDArray[np.uint8]:
        images: NDArray[np.uint8] = self.data.split("production").images
        return images

    @property
    def truth(self) -> list[str]:
        return [row.class_name for row in self.data.split("production").rows]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return make_served(tmp_path_factory.mktemp("model"))


def make_served(folder: Path, seed: int = 0) -> Served:
    """A ResNet-8 trained on digits, in an empty folder."""
    data = digits()
    recipe = make_recipe(epochs=12, batch_size=64, peak_lr=0.2, warmup=0.2, label_smoothing=0.1)
    member = Member(depth=8, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="identity")
    model = replace(fit(make_plan(recipe, member=member, seed=seed), data), name="resnet8")
    save_model(model, folder)
    identity = ModelIdentity("digits-classifier", "3", model_digest(folder))
    scorer = Scorer(model, identity)
    test = data.split("test")
    times = [pd.Timestamp("2026-01-01T00:00Z").to_pydatetime()] * len(test)
    frame = scorer.score(
        test.images, [r.path for r in test.rows], times, labels=[r.class_name for r in test.rows]
    )
    reference = build_reference(frame, identity, model.classes, rows=2000, seed=0)
    return Served(scorer, identity, reference, data)


@pytest.fixture
def made_up() -> Callable[..., pd.DataFrame]:
    """Frames of made-up predictions, as many as wanted."""
    return make_predictions


def as_predictions(frame: pd.DataFrame) -> Predictions:
    """What a model said of the rows of a frame whose classes are numbers."""
    probabilities = matrix(frame, "probabilities")
    return Predictions(
        np.log(np.maximum(probabilities, 1e-30)),
        probabilities,
        matrix(frame, "embedding"),
        frame["predicted"].astype(int).to_numpy(),
    )


def make_predictions(
    rng: np.random.Generator, rows: int, shift: float = 0.0, weights: list[float] | None = None
) -> pd.DataFrame:
    """Predictions of ten Gaussian clouds and a linear head."""
    centres = np.random.default_rng(99).normal(0, 1.2, (10, 8))
    kind = rng.choice(10, rows, p=weights)
    embedding = (centres[kind] + rng.normal(0, 1, (rows, 8)) + shift).astype(np.float32)
    logits = embedding @ centres.T - (centres**2).sum(axis=1) / 2
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    return pd.DataFrame(
        {
            "request_id": [f"r{i}" for i in range(rows)],
            "time": pd.date_range("2026-01-05T08:00Z", periods=rows, freq="s"),
            "model": "made-up",
            "version": "1",
            "digest": "d" * 64,
            "source": None,
            "window": "w",
            **{name: rng.normal(0.5, 0.1, rows) for name in ("brightness", "contrast", "sharpness")},
            "saturation": 0.0,
            "entropy": rng.normal(3, 0.3, rows),
            "embedding": list(embedding),
            "probabilities": list(probabilities),
            "predicted": [str(k) for k in probabilities.argmax(axis=1)],
            "latency_ms": 1.0,
            "label": [str(k) for k in kind],
        }
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder as the current one, with state inside it."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "RESNET_OPS_INFERENCE_LOG", "RESNET_OPS_KEYS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


from tests.unit.monitoring.scene import registered, scene  # noqa: E402, F401 -- fixtures; the module needs `Served`
