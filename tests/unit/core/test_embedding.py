"""Embeddings of a folder: what the model says of each image, in a file that is whole or not there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from sklearn.linear_model import LogisticRegression

from resnet_ops import embedding
from resnet_ops.data import PreparedData
from resnet_ops.data.params import DataParams, WindowParams
from resnet_ops.embedding import Embedded, embed_folder
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.model import TrainedModel
from tests.unit.core.makers import make_data_params, random_images, untrained


def settings(**changes: object) -> DataParams:
    return make_data_params(source="imagefolder", root="unused", **changes)


def write_images(folder: Path, images: np.ndarray) -> list[str]:
    """PNG files in two folders; their names in the order in which they are read."""
    names = [f"{'ab'[place % 2]}/{place:04d}.png" for place in range(len(images))]
    for name, image in zip(names, images, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(folder / name)
    return sorted(names)


def embed(folder: Path, target: Path, model: TrainedModel | None = None, **changes: object) -> Embedded:
    options = {"half": False, "skip_broken": False, "about": {"model": "tiny"}, **changes}
    return embed_folder(model or untrained(), folder, settings(), target, **options)  # type: ignore[arg-type]


def vectors(target: Path) -> np.ndarray:
    return np.stack(parquet.read_table(target)["embedding"].to_pylist())


def test_rows_are_what_the_model_says_whatever_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = random_images(7)
    names = write_images(tmp_path / "images", images)
    model, target = untrained(), tmp_path / "out.parquet"
    monkeypatch.setattr(embedding, "BATCH", 3)
    found = embed(tmp_path / "images", target, model)
    table = parquet.read_table(target)
    expected = model.predict(images[[int(Path(name).stem) for name in names]])
    assert (found.rows, found.width) == (7, expected.embeddings.shape[1])
    assert table["path"].to_pylist() == names
    np.testing.assert_allclose(vectors(target), expected.embeddings, rtol=1e-5, atol=1e-6)
    assert table["predicted"].to_pylist() == [model.classes[place] for place in expected.predicted]
    np.testing.assert_allclose(table["confidence"], expected.probabilities.max(axis=1), rtol=1e-5)
    assert table.schema.metadata == {b"model": b"tiny"}


def test_half_the_bits_are_the_same_numbers_rounded(tmp_path: Path) -> None:
    write_images(tmp_path / "images", random_images(4))
    embed(tmp_path / "images", tmp_path / "whole")
    embed(tmp_path / "images", tmp_path / "half", half=True)
    rounded = vectors(tmp_path / "whole").astype(np.float16)
    assert (vectors(tmp_path / "half").astype(np.float16) == rounded).all()


def test_an_image_that_cannot_be_read_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    folder, target = tmp_path / "images", tmp_path / "out.parquet"
    write_images(folder, random_images(5))
    (folder / "b" / "broken.png").write_bytes((folder / "a" / "0000.png").read_bytes()[:40])
    target.write_text("what was there")
    with pytest.raises(DataError, match=r"b/broken\.png"):
        embed(folder, target)
    assert target.read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    found = embed(folder, target, skip_broken=True)
    assert found.rows == 5
    assert [each.split(" ")[0] for each in found.broken] == ["b/broken.png"]
    assert len(vectors(target)) == 5


def test_a_folder_of_broken_images_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match=r"a\.png"):
        embed(tmp_path / "images", tmp_path / "out", skip_broken=True)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_images_and_settings_of_another_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="no image"):
        embed(tmp_path / "images", tmp_path / "out")
    write_images(tmp_path / "images", random_images(1))
    with pytest.raises(ConfigError, match="16 pixels"):
        embed(tmp_path / "images", tmp_path / "out", untrained(image_size=16))


def test_grey_images_of_many_bits_are_read_as_the_settings_say_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    levels = np.linspace(0, 4095, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match="grey_bits"):
        embed(tmp_path / "images", tmp_path / "out")
    model = untrained()
    given = {"half": False, "skip_broken": False, "about": {}}
    for known in (
        replace(settings(), grey_bits=12),
        replace(settings(), window=WindowParams(center=2048, width=4096)),
    ):
        embed_folder(model, tmp_path / "images", known, tmp_path / "out", **given)  # type: ignore[arg-type]
    embed_folder(model, tmp_path / "images", replace(settings(), grey_bits=12), tmp_path / "out", **given)  # type: ignore[arg-type]
    expected = model.predict((levels >> 4).astype(np.uint8)[None, ..., None]).embeddings
    np.testing.assert_allclose(vectors(tmp_path / "out"), expected, rtol=1e-5, atol=1e-6)


def test_embeddings_join_with_a_table_of_other_features(tmp_path: Path, digits: PreparedData) -> None:
    """The example of the documentation: rows find each other by path, and a linear model learns from both."""
    data = digits.split("test")
    write_images(tmp_path / "images", data.images)
    embed(tmp_path / "images", tmp_path / "out.parquet")
    table = parquet.read_table(tmp_path / "out.parquet").to_pandas()
    odd = {f"{'ab'[place % 2]}/{place:04d}.png": label % 2 for place, label in enumerate(data.labels)}
    features = np.column_stack([np.stack(table["embedding"]), table["path"].map(odd)])
    labels = np.array([data.labels[int(Path(path).stem)] for path in table["path"]])
    alone, joined = (
        LogisticRegression(max_iter=2000).fit(each, labels).score(each, labels)
        for each in (features[:, :-1], features)
    )
    assert joined > alone
