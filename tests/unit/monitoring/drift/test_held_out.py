"""`resnet-ops drift reference`: what a version is judged against, made of the images that it was tested on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from resnet_ops.cli import build_app
from resnet_ops.data.prepared import save_prepared
from resnet_ops.errors import DataError
from resnet_ops.model import TrainedModel, save_model
from resnet_ops_monitoring.drift.detector import judge
from resnet_ops_monitoring.drift.held_out import held_out_reference
from resnet_ops_monitoring.inference_log.identity import ModelIdentity
from resnet_ops_monitoring.report.stored_reference import fetch_reference
from resnet_ops_monitoring.settings.drift import ReferenceParams
from resnet_ops_registry.common.connection import connect
from tests.unit.monitoring.conftest import PARAMS
from tests.unit.monitoring.scene import registered, scene
from tests.unit.registry.conftest import evidence_of, publish_model

if TYPE_CHECKING:
    from tests.unit.monitoring.conftest import Served
    from tests.unit.monitoring.scene import Scene

__all__ = ["registered", "scene"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning"),
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in.*sqlite3:pytest.PytestUnraisableExceptionWarning"
    ),
]


def publish_tested(scene: Scene, name: str, *, wrong: int) -> ModelIdentity:
    """The served files as v1 of another model, never watched, tested with so many more wrong answers."""
    folder, found = scene.folder / "models/served", scene.served.reference.accuracy(0.95)
    assert isinstance(scene.served.scorer.model, TrainedModel)
    save_model(scene.served.scorer.model, folder)
    evidence = evidence_of(folder, 0.9)
    value = found.value - wrong / found.n
    top1 = evidence.metrics["test.top1"].model_copy(
        update={"value": value, "n": found.n, "low": value - 0.02, "high": min(1.0, value + 0.02)}
    )
    evidence = evidence.model_copy(update={"metrics": evidence.metrics | {"test.top1": top1}})
    published = publish_model(connect(), folder, evidence=evidence, registered_model=name)
    return ModelIdentity(name, str(published.version), scene.served.identity.digest)


@pytest.fixture
def prepared(scene: Scene) -> Scene:
    """The scene with the data that its models were trained and tested with."""
    save_prepared(scene.served.data, scene.folder / "data/prepared", ["train", "validation", "test"])
    path = scene.folder / "params.yaml"
    settings = yaml.safe_load(path.read_text())
    settings |= {"seed": 0, "data": {"group": None}}
    settings["monitor"] |= {"reference_rows": 2000, "perturbed_images": 50}
    path.write_text(yaml.safe_dump(settings))
    return scene


def command(*words: str) -> Result:
    return CliRunner().invoke(build_app(), ["drift", "reference", *words])


def test_a_version_that_was_never_watched_gets_its_reference(prepared: Scene) -> None:
    identity = publish_tested(prepared, "lens-check", wrong=0)
    with pytest.raises(DataError, match="drift reference lens-check 1"):
        fetch_reference(connect(), identity)
    done = command("lens-check", "1")
    assert (done.exit_code, done.stderr) == (0, "")
    assert f"{identity} now, of 384" in done.stdout
    reference = fetch_reference(connect(), identity)
    assert reference.accuracy_calibration is not None
    frame = prepared.served.score(prepared.served.unseen).assign(model="lens-check", version="1")
    assert judge(frame, reference, PARAMS, window="w").status == "ok"
    assert command("lens-check", "1").exit_code == 0


def test_images_that_the_version_was_not_tested_on_are_refused(prepared: Scene) -> None:
    identity = publish_tested(prepared, "lens-check", wrong=5)
    done = command("lens-check", "1")
    assert done.exit_code == 1
    assert "that lens-check v1 was tested on" in done.stderr
    assert "dvc repro prepare_data" in done.stderr
    with pytest.raises(DataError, match="keeps no signed reference"):
        fetch_reference(connect(), identity)


def test_one_answer_may_differ_as_on_another_machine(prepared: Scene) -> None:
    publish_tested(prepared, "lens-check", wrong=1)
    assert command("lens-check", "1").exit_code == 0


def test_images_of_one_group_count_as_one_in_the_estimate_and_its_interval(served: Served) -> None:
    params = ReferenceParams(reference_rows=2000, perturbed_images=20)
    test = served.data.split("test")
    patients = np.array([f"patient {place // 4}" for place in range(len(test))], dtype=object)
    widths = []
    for column in (None, "patient"):
        data = replace(test, extra={"patient": patients})
        made = held_out_reference(
            served.scorer.model, served.identity, data, params, 0, lambda done, total: None, group=column
        )
        frame = served.score(served.unseen[:240])
        frame = frame.assign(group=None if column is None else [f"p{place // 4}" for place in range(240)])
        found = judge(frame, made, PARAMS, window="w")
        assert (found.status, found.groups) == ("ok", None if column is None else 60)
        assert found.estimated is not None
        widths.append(found.estimated.high - found.estimated.low)
        assert made.worth == pytest.approx(1 if column is None else 1 / 4, abs=0.01)
        assert made.accuracy_calibration is not None
        assert made.accuracy_calibration.clean.rows == len(made.rows)
    assert widths[1] > 1.3 * widths[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nobody", "1"), "nobody"),
        (("digits-classifier", "99"), "99"),
        (("digits-classifier", "3", "--data", "nowhere"), "nowhere"),
        (("digits-classifier", "3", "--params", "nowhere.yaml"), "nowhere.yaml is missing"),
    ],
)
def test_what_is_not_there_is_named(prepared: Scene, words: tuple[str, ...], message: str) -> None:
    done = command(*words)
    assert done.exit_code == 1
    assert message in done.stderr
