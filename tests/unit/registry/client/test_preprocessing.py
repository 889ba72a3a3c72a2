"""How images are read for a version is among its files, so that nobody has to know the settings of its training."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.models import Model

from resnet_ops.data.params import WindowParams
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.export.exported import load_deployed
from resnet_ops.model import save_model
from resnet_ops.model_files import model_digest
from resnet_ops.preprocessing import NOTED_IN, Preprocessing, read_preprocessing, save_preprocessing
from resnet_ops_registry.attestations.digest import folder_digest
from resnet_ops_registry.client.loading import load
from resnet_ops_registry.client.packaging import ARTIFACTS, build_model_folder
from tests.unit.core.makers import untrained
from tests.unit.registry.conftest import NAME, make_model, publish_model

PADDED = Preprocessing(
    image_size=8,
    channels=1,
    fit="pad",
    background=7,
    grey_bits=12,
    window=WindowParams(center=40.0, width=400.0),
)


def test_a_version_is_loaded_with_what_it_was_published_with(
    client: MlflowClient, model_folder: Path, project: Path
) -> None:
    before = publish_model(client, make_model(project / "models" / "before", seed=1))
    after = publish_model(client, model_folder, preprocessing=PADDED)
    old, new = (load(NAME, each.version) for each in (before, after))
    assert (old.preprocessing, new.preprocessing) == (None, PADDED)
    assert new.weights_digest == model_digest(model_folder)


def test_the_same_weights_packaged_otherwise_for_another_use_leave_the_files_of_the_first(
    client: MlflowClient, model_folder: Path
) -> None:
    first = publish_model(client, model_folder)
    other = publish_model(client, model_folder, registered_model="other-use", preprocessing=PADDED)
    again = publish_model(client, model_folder, registered_model="third-use", preprocessing=PADDED)
    assert load(NAME, first.version).preprocessing is None
    assert load("other-use", other.version).preprocessing == PADDED
    sources = [client.get_model_version(each.name, str(each.version)).source for each in (other, again)]
    assert sources[0] == sources[1], "the same files are kept once"


def test_what_is_for_another_size_is_not_packaged(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="8 pixels with 1 channels"):
        build_model_folder(model_folder, tmp_path / "packaged", preprocessing=replace(PADDED, image_size=16))
    with pytest.raises(ConfigError, match="channels of 8 bits"):
        build_model_folder(model_folder, tmp_path / "packaged", preprocessing=replace(PADDED, depth=16))


def test_packaging_the_same_twice_gives_the_same_files(model_folder: Path, tmp_path: Path) -> None:
    """A publication that was cut short is taken up by their digest."""
    made = [
        build_model_folder(model_folder, tmp_path / name, preprocessing=PADDED) for name in ("one", "two")
    ]
    assert folder_digest(made[0]) == folder_digest(made[1])


@pytest.mark.parametrize("content", ["{}", "[]", '{"fit": "pad"}', "fit", '{"image_size": "8"}'])
def test_a_file_that_says_something_else_is_refused(content: str, tmp_path: Path) -> None:
    save_preprocessing(PADDED, tmp_path)
    assert read_preprocessing(tmp_path) == PADDED
    changed = content
    if content == '{"image_size": "8"}':
        changed = json.dumps({**json.loads((tmp_path / NOTED_IN).read_text()), "image_size": "8"})
    (tmp_path / NOTED_IN).write_text(changed)
    with pytest.raises(DataError, match=NOTED_IN):
        read_preprocessing(tmp_path)


def test_a_model_of_16_bits_says_so_in_its_signature_and_is_told_how_files_are_read(tmp_path: Path) -> None:
    save_model(replace(untrained(), depth=16), tmp_path / "model")
    deep = replace(PADDED, depth=16)
    folder = build_model_folder(tmp_path / "model", tmp_path / "packaged", preprocessing=deep)
    (taken,) = Model.load(str(folder)).signature.inputs.inputs
    assert (taken.type, taken.shape) == (np.dtype(np.uint16), (-1, 8, 8, 1))
    assert read_preprocessing(folder / ARTIFACTS) == deep
    model = load_deployed(folder / ARTIFACTS)
    assert model.depth == 16
    assert model.predict(np.full((2, 8, 8, 1), 40_000, np.uint16)).probabilities.shape == (2, 10)
