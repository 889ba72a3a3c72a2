"""Folders and parquet files of images come into the log as requests to a server do, each once."""

import importlib.util
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from resnet_ops.cli import build_app
from resnet_ops.data import streaming
from resnet_ops.errors import DataError
from resnet_ops_monitoring.inference_log.log import InferenceLog
from resnet_ops_monitoring.serving.batch_scoring import Job
from resnet_ops_registry.common.connection import connect
from tests.unit.monitoring.scene import Scene
from tests.unit.registry.conftest import NAME

ROOT = Path(__file__).resolve().parents[4]
CHAMPION = f"models:/{NAME}@champion"

WITH_RAY = """
import sys
from pathlib import Path
import ray
from resnet_ops_monitoring.serving.batch_scoring import Job, score_with_ray
ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
job = Job(sys.argv[2], Path("params.yaml"))
done = score_with_ray(Path(sys.argv[1]), job, Path.cwd(), workers=2)
print(done.images, done.new, *done.broken)
"""


@pytest.fixture
def pixels(scene: Scene) -> np.ndarray:
    """Images that the champion of the scene never saw, beside the project's own settings."""
    whole = yaml.safe_load((ROOT / "params.yaml").read_text())
    (scene.folder / "params.yaml").write_text(yaml.safe_dump({key: whole[key] for key in ("data", "serve")}))
    return scene.served.unseen[:12]


def png(image: np.ndarray) -> bytes:
    content = BytesIO()
    Image.fromarray(image[..., 0]).save(content, "PNG")
    return content.getvalue()


def write_folder(folder: Path, images: np.ndarray) -> Path:
    for row, image in enumerate(images):
        file = folder / f"part {row // 4}" / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image))
    return folder


def write_parquet(file: Path, images: np.ndarray, first: int = 0) -> Path:
    names = [f"line 1/{first + row}" for row in range(len(images))]
    pd.DataFrame({"request_id": names, "image": list(map(png, images))}).to_parquet(file)
    return file


def score(*words: str) -> Result:
    return CliRunner().invoke(build_app(), ["score", *words])


def logged() -> pd.DataFrame:
    log = InferenceLog.open()
    rows = log.read(NAME)
    log.close()
    return rows


@pytest.mark.slow
def test_a_folder_is_in_the_log_once_as_the_champion_answers(scene: Scene, pixels: np.ndarray) -> None:
    folder = write_folder(scene.folder / "new", pixels)
    for new in (12, 0):
        result = score(CHAMPION, str(folder), "--source", "line 1", "--group", r"part \d+")
        assert result.exit_code == 0, result.output
        assert f"12 images, {new} new, by {NAME} v3" in result.output
    rows = logged().set_index("request_id")
    assert sorted(rows.index) == sorted(f"part {row // 4}/{row}.png" for row in range(12))
    assert {*rows["source"]} == {"line 1"}
    assert {*rows["digest"]} == {scene.served.identity.digest}
    expected = scene.served.score(pixels)
    for row in range(12):
        found = rows.loc[f"part {row // 4}/{row}.png"]
        assert (found["group"], found["predicted"]) == (f"part {row // 4}", expected["predicted"][row])
        np.testing.assert_allclose(found["probabilities"], expected["probabilities"][row], atol=1e-4)


@pytest.mark.slow
def test_what_cannot_be_read_is_named_and_costs_no_other(scene: Scene, pixels: np.ndarray) -> None:
    folder = write_folder(scene.folder / "new", pixels)
    (folder / "part 1/5.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    result = score(CHAMPION, str(folder))
    assert result.exit_code == 1
    assert "part 1/5.png (" in result.output
    assert len(logged()) == 11


@pytest.mark.slow
def test_images_in_parquet_are_read_as_the_server_reads_them(scene: Scene, pixels: np.ndarray) -> None:
    file = write_parquet(scene.folder / "new.parquet", pixels)
    assert score(CHAMPION, str(file)).exit_code == 0
    rows = logged().set_index("request_id")
    expected = scene.served.score(pixels)["predicted"]
    assert [rows.loc[f"line 1/{row}", "predicted"] for row in range(12)] == expected.tolist()


@pytest.mark.slow
def test_a_name_that_the_log_cannot_hold_costs_no_other_image_its_row(
    scene: Scene, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BYTES", 5 * pixels[0].nbytes)  # as of images so large
    deep = write_folder(scene.folder / "new", pixels) / "x" / ("y" * 200)
    deep.mkdir(parents=True)
    (deep / "z.png").write_bytes(png(pixels[0]))
    result = score(CHAMPION, str(scene.folder / "new"))
    assert result.exit_code == 1
    assert "z.png' (request_id is no text of 1 to 200 characters)" in result.output
    assert "12 images, 12 new" in result.output
    rows = pd.DataFrame({"request_id": ["a", None, "b", "c"], "image": [png(each) for each in pixels[:4]]})
    rows.to_parquet(scene.folder / "new.parquet")
    assert "3 images, 3 new" in score(CHAMPION, str(scene.folder / "new.parquet")).output
    assert len(logged()) == 15


@pytest.mark.parametrize("source", ["", "x" * 201, "a\0b"])
def test_a_source_that_the_log_cannot_hold_is_told_before_anything_is_loaded(source: str) -> None:
    with pytest.raises(DataError, match="source is no text of 1 to 200"):
        Job(CHAMPION, Path("nowhere"), source=source).opened()


@pytest.mark.slow
def test_what_cannot_be_scored_is_said(scene: Scene, pixels: np.ndarray) -> None:
    connect().set_registered_model_alias(NAME, "unguarded", "3")
    (scene.folder / "empty").mkdir()
    pd.DataFrame({"path": ["a"]}).to_parquet(scene.folder / "other.parquet")
    (scene.folder / "none.parquet").write_text("no parquet")
    for uri, images, said in (
        (f"models:/{NAME}@unguarded", "empty", "may not answer for @unguarded"),
        (CHAMPION, "empty", "holds no image"),
        (CHAMPION, "other.parquet", "needed are request_id"),
        (CHAMPION, "none.parquet", "cannot be read as parquet"),
        (CHAMPION, "nowhere.parquet", "cannot be read as parquet"),
    ):
        result = score(uri, images)
        assert result.exit_code == 1
        assert said in result.output
    assert logged().empty


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: the extra 'scale'")
def test_many_workers_of_ray_log_what_one_process_would(scene: Scene, pixels: np.ndarray) -> None:
    (scene.folder / "many").mkdir()
    for part in range(3):
        write_parquet(scene.folder / f"many/{part}.parquet", pixels[4 * part :][:4], 4 * part)
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", WITH_RAY, "many", CHAMPION]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **settings}
    ) as process:
        try:
            said, _ = process.communicate(timeout=300)
        finally:
            process.terminate()  # then Ray ends what it started
    assert said == "12 12\n"
    rows = logged().set_index("request_id")
    expected = scene.served.score(pixels)["predicted"]
    assert [rows.loc[f"line 1/{row}", "predicted"] for row in range(12)] == expected.tolist()
