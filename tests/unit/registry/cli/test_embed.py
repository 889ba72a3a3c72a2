"""`resnet-ops embed` on a model's folder: the file, and what is said of it."""

from pathlib import Path

import pytest
import yaml
from PIL import Image
from pyarrow import parquet

from resnet_ops.cli import main
from resnet_ops.model import save_model
from resnet_ops.model_files import model_digest
from resnet_ops.preprocessing import NOTED_IN, Preprocessing, save_preprocessing
from tests.unit.core.makers import random_images, untrained

ROOT = Path(__file__).parents[4]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained model, two images, and the params.yaml of the digits for image files."""
    save_model(untrained(), tmp_path / "model")
    (tmp_path / "images").mkdir()
    for number, image in enumerate(random_images(2)):
        Image.fromarray(image[..., 0]).save(tmp_path / "images" / f"{number}.png")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["resnet-ops", "embed", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in (0, 1)
    if ended.value.code:
        raise RuntimeError(ended.value.code)


def test_a_model_folder_is_asked_and_named_in_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "model", "images", "out.parquet", "--half")
    assert "2 images" in capsys.readouterr().out
    table = parquet.read_table(project / "out.parquet")
    assert table["path"].to_pylist() == ["0.png", "1.png"]
    assert table.schema.metadata[b"digest"].decode() == model_digest(project / "model")


def test_a_model_that_says_how_images_are_read_needs_no_settings(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Preprocessing(image_size=8, channels=1, fit="crop", background=0, grey_bits="auto", window=None)
    save_preprocessing(own, project / "model")
    run(monkeypatch, "model", "images", "with.parquet", "--params", "nowhere.yaml")
    (project / "model" / NOTED_IN).unlink()
    run(monkeypatch, "model", "images", "without.parquet")
    assert parquet.read_table("with.parquet").equals(parquet.read_table("without.parquet"))


def test_what_is_not_there_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, name in (
        (("nowhere", "images", "out"), "nowhere"),
        (("model", "nowhere", "out"), "nowhere"),
        (("model", "images", "out", "--params", "nowhere.yaml"), "nowhere.yaml"),
    ):
        with pytest.raises(RuntimeError):
            run(monkeypatch, *words)
        assert name in capsys.readouterr().err
        assert not (project / "out").exists()
