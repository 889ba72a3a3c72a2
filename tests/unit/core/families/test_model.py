"""A trained model's folder, what it predicts, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from resnet_ops.errors import DataError
from resnet_ops.families.member import Member
from resnet_ops.model import TrainedModel, load_model, save_model
from resnet_ops.model_files import model_digest
from tests.unit.core.makers import TINY, random_images, untrained

PROJECTION = Member(depth=14, widths=(3, 5, 8), stem_kernel=5, stem_stride=2, shortcut="projection")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(untrained(), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(("member", "channels", "size"), [(TINY, 1, 8), (PROJECTION, 3, 17)])
def test_a_loaded_model_is_the_saved_one(tmp_path: Path, member: Member, channels: int, size: int) -> None:
    model = replace(untrained(member, channels, size), classes=(*"01234567", "ä,b", "c d"))
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    for field in ("name", "member", "classes", "image_size", "channels", "mean", "std"):
        assert getattr(loaded, field) == getattr(model, field)
    assert not loaded.network.training
    images = random_images(20, channels, size)
    assert np.array_equal(loaded.predict(images).logits, model.predict(images).logits)


def test_saving_a_loaded_model_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    save_model(load_model(folder), tmp_path / "again")
    for name in ("weights.safetensors", "member.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert model_digest(folder) == model_digest(tmp_path / "again")


def test_the_folder_holds_two_files_and_nothing_else(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["member.json", "weights.safetensors"]


@pytest.mark.parametrize("name", ["weights.safetensors", "member.json"])
def test_the_digest_changes_with_every_byte_of_either_file(folder: Path, name: str) -> None:
    before = model_digest(folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert model_digest(folder) != before
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert model_digest(folder) == before


def test_the_digest_ignores_other_files(folder: Path) -> None:
    before = model_digest(folder)
    (folder / "registered_model_meta").write_text("left by a download")
    assert model_digest(folder) == before


@pytest.mark.parametrize("name", ["weights.safetensors", "member.json"])
def test_a_missing_file_is_named_with_the_way_back(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=rf"{name}.*dvc repro"):
        load_model(folder)
    with pytest.raises(DataError, match=rf"{name} is missing"):
        model_digest(folder)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_weights_cut_off_are_refused(folder: Path, keep: float) -> None:
    content = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(content[: int(keep * len(content))])
    with pytest.raises(DataError, match=r"holds no usable model .*dvc repro"):
        load_model(folder)


def test_weights_of_another_architecture_are_refused(folder: Path, tmp_path: Path) -> None:
    save_model(untrained(replace(TINY, depth=14)), tmp_path / "deeper")
    (tmp_path / "deeper" / "weights.safetensors").replace(folder / "weights.safetensors")
    with pytest.raises(DataError, match=r"holds no usable model \(RuntimeError"):
        load_model(folder)


@pytest.mark.parametrize("change", ["shape", "missing", "extra"])
def test_a_tensor_that_does_not_fit_is_refused_by_its_name(folder: Path, change: str) -> None:
    state = load_file(folder / "weights.safetensors")
    if change == "shape":
        state["head.bias"] = torch.zeros(11)
    elif change == "missing":
        del state["head.bias"]
    else:
        state["head.bias2"] = torch.zeros(10)
    save_file(state, folder / "weights.safetensors")
    with pytest.raises(DataError, match=r"(?s)holds no usable model .*head\.bias"):
        load_model(folder)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "5",
        "null",
        '"text"',
        "[]",
        "{}",
        '{"member": 5}',
        '{"member": {"depth": 9}}',
    ],
)
def test_a_description_of_another_form_is_refused(folder: Path, content: str) -> None:
    (folder / "member.json").write_text(content)
    with pytest.raises(DataError, match="dvc repro"):
        load_model(folder)


@pytest.mark.parametrize(
    ("key", "value"), [("classes", ["a", "b"]), ("channels", 3), ("mean", None), ("surprise", 1)]
)
def test_a_description_that_does_not_fit_the_weights_is_refused(
    folder: Path, key: str, value: object
) -> None:
    description = json.loads((folder / "member.json").read_text())
    (folder / "member.json").write_text(json.dumps({**description, key: value}))
    with pytest.raises(DataError, match="holds no usable model"):
        load_model(folder)


def test_no_pickle_is_ever_read(folder: Path) -> None:
    torch.save(untrained().network.state_dict(), folder / "weights.safetensors")
    with pytest.raises(DataError, match="holds no usable model"):
        load_model(folder)


@pytest.mark.parametrize("channels", [1, 3])
def test_predictions_are_those_of_the_normalised_network(channels: int) -> None:
    model = untrained(channels=channels)
    images = random_images(10, channels)
    x = (images / 255 - np.array(model.mean)) / np.array(model.std)
    with torch.inference_mode():
        inputs = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float32))
        logits = model.network(inputs).numpy()
        embeddings = model.network.features(inputs).numpy()
    predictions = model.predict(images)
    assert predictions.logits == pytest.approx(logits, abs=1e-5)
    assert predictions.embeddings == pytest.approx(embeddings, abs=1e-5)
    assert predictions.probabilities == pytest.approx(
        np.exp(logits) / np.exp(logits).sum(1, keepdims=True), abs=1e-6
    )
    assert np.array_equal(predictions.predicted, logits.argmax(1))
    given = [values for values in vars(predictions).values() if values is not None]
    assert [values.dtype for values in given] == [*[np.float32] * 3, np.int64]


def test_the_batch_size_does_not_change_the_predictions() -> None:
    model, images = untrained(), random_images(11)
    whole = model.predict(images).logits
    for batch_size in (1, 4, 11, 256):
        assert model.predict(images, batch_size).logits == pytest.approx(whole, abs=1e-5)


def test_no_images_give_empty_predictions_of_the_right_shapes() -> None:
    predictions = untrained().predict(np.empty((0, 8, 8, 1), np.uint8))
    shapes = {name: values.shape for name, values in vars(predictions).items() if values is not None}
    assert shapes == {"logits": (0, 10), "probabilities": (0, 10), "embeddings": (0, 8), "predicted": (0,)}


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((2, 9, 8, 1), np.uint8),
        np.zeros((2, 1, 8, 8), np.uint8),
        np.zeros((8, 8, 1), np.uint8),
        np.zeros((2, 8, 8, 1), np.float32),
        np.zeros((2, 8, 8, 1), np.int64),
    ],
)
def test_images_of_another_shape_or_type_are_refused_with_what_is_needed(images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"tiny takes uint8 .*\(N, 8, 8, 1\), .*data\.image_size"):
        untrained().predict(images)


def test_views_and_read_only_images_are_taken() -> None:
    model = untrained(channels=3)
    images = random_images(6, 3)
    swapped = model.predict(np.ascontiguousarray(images[..., ::-1])).logits
    assert np.array_equal(model.predict(images[..., ::-1]).logits, swapped)
    whole = model.predict(images).logits
    images.flags.writeable = False
    assert np.array_equal(model.predict(images).logits, whole)


def test_the_classifier_takes_raw_images_and_gives_the_same_logits() -> None:
    model: TrainedModel = untrained()
    images = random_images(5)
    with torch.inference_mode():
        logits = model.classifier()(torch.from_numpy(images)).numpy()
    assert logits == pytest.approx(model.predict(images).logits, abs=1e-6)
