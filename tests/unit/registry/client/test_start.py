"""Training that starts from a registered version: resolved and verified by the pipeline."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from resnet_ops.errors import EvidenceError
from resnet_ops.model_files import model_digest
from resnet_ops.training.pretrained.starting_weights import read_starting_weights
from resnet_ops.training.start import Start
from resnet_ops_pipelines.register_models import start_digest
from resnet_ops_pipelines.train_model import with_weights_at_hand
from resnet_ops_registry.client.publish import Published
from tests.unit.core.makers import make_recipe

NAME = "digits-classifier"

pytestmark = pytest.mark.usefixtures("policy")


@pytest.mark.slow
def test_a_registered_version_becomes_a_verified_folder_with_the_digest_that_the_registry_shows(
    published: Callable[..., Published], model_folder: Path, project: Path
) -> None:
    digest, source = model_digest(model_folder), f"models:/{NAME}/{published().version}"
    start = Start(source=source, sha256=digest, frozen={}, rates={"stem": 0.1})
    recipe = make_recipe(start=start)
    found = with_weights_at_hand(recipe)[0].start
    assert found is not None
    assert read_starting_weights(found).classes == tuple("0123456789")
    assert found == replace(start, source=found.source)
    assert start_digest(recipe) == {source: f"sha256:{digest}"}
    (code,) = (project / "var" / "artifacts").rglob("served_model.py")
    code.write_text("changed")
    (cached,) = (project / "var" / "cache").rglob("weights.safetensors")
    cached.write_bytes(b"changed")
    with pytest.raises(EvidenceError, match="changed after they were published"):
        with_weights_at_hand(recipe)


@pytest.mark.parametrize(
    "source",
    [None, "file:models/tiny", "file:models/tiny/member.json", "torchvision:ResNet18_Weights.DEFAULT"],
)
def test_other_starts_are_left_to_the_core(source: str | None, model_folder: Path) -> None:
    start = Start(source=source, sha256=None, frozen={}, rates={}) if source else None
    seen = None if source else frozenset[str]()  # nobody noted what others have seen
    assert with_weights_at_hand(make_recipe(start=start)) == (make_recipe(start=start), seen)
    assert bool(start_digest(make_recipe(start=start))) is (source is not None)
