"""Export: what is written predicts the same at any batch size, and what does not is not written."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from resnet_ops.data import PreparedData
from resnet_ops.errors import ConfigError, DataError
from resnet_ops.export.exported import ExportedModel, load_deployed, load_exported
from resnet_ops.export.formats import FormatResult, export_model
from resnet_ops.export.onnx_file import quantised_bytes
from resnet_ops.export.params import ExportParams, Format, Quantisation, Tolerance
from resnet_ops.export.program import trace
from resnet_ops.families.cifar import ResNet
from resnet_ops.model import TrainedModel, save_model
from resnet_ops.model_files import model_digest
from resnet_ops.training.loop import fit
from tests.unit.core.makers import (
    TINY,
    make_data,
    make_imagenet_member,
    make_plan,
    make_recipe,
    random_images,
    untrained,
)

pytestmark = pytest.mark.slow

EXACT = Tolerance(max_logit_difference=0.001, min_equal_predictions=1.0, max_accuracy_loss=0.0)
LOOSE = Tolerance(max_logit_difference=1.0, min_equal_predictions=0.9, max_accuracy_loss=0.1)
QUANTISATION = Quantisation(calibration="minmax", images=64, reduce_range=True)
PARAMS = ExportParams(
    formats={"pt2": EXACT, "onnx": EXACT, "int8": LOOSE}, too_few_images="refuse", quantisation=QUANTISATION
)
CLASSES = tuple("0123456789")
FORMATS: tuple[Format, ...] = ("pt2", "onnx", "int8")

Exported = tuple[Path, dict[Format, FormatResult]]


def labelled(model: TrainedModel, test: int = 300) -> PreparedData:
    """Random images; the test split's true classes are what the model says."""
    data = make_data({"validation": [0] * 64, "test": [0] * test}, CLASSES)
    data.labels[64:] = model.predict(data.images[64:]).predicted
    return data


def export(
    model: TrainedModel, params: ExportParams, folder: Path, test: int = 300
) -> dict[Format, FormatResult]:
    return export_model(model, "0" * 64, labelled(model, test), params, 0.95, folder)


def only(*formats: Format, **changes: Any) -> ExportParams:
    return replace(PARAMS, formats={name: replace(PARAMS.formats[name], **changes) for name in formats})


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return untrained()


@pytest.fixture(scope="module")
def exported(model: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("export")
    return folder, export(model, PARAMS, folder)


@pytest.mark.parametrize(("format_", "tolerance"), [("pt2", 1e-4), ("onnx", 1e-4), ("int8", 0.5)])
def test_an_export_gives_the_same_logits_and_embeddings_at_every_batch_size(
    format_: str, tolerance: float, model: TrainedModel, exported: Exported
) -> None:
    images = random_images(300, seed=1)
    expected, loaded = model.predict(images), load_exported(exported[0] / format_)
    for batch in (1, 2, 3, 64, 300):
        said = loaded.predict(images[:batch])
        assert said.logits == pytest.approx(expected.logits[:batch], abs=tolerance)
        assert said.embeddings == pytest.approx(expected.embeddings[:batch], abs=tolerance)
        assert said.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert (said.predicted == said.logits.argmax(axis=1)).all()
    assert loaded.predict(images, batch_size=7).logits == pytest.approx(
        loaded.predict(images).logits, abs=1e-5
    )


def test_what_was_compared_is_measured_with_its_interval(
    exported: Exported,
) -> None:
    folder, results = exported
    for format_ in FORMATS:
        measured = results[format_].measured
        loss, top1 = measured["accuracy_loss"], measured["top1"]
        assert loss.value == pytest.approx(1 - top1.value)  # the labels are what the original says
        assert loss.n == top1.n == results[format_].verdict.n == 300
        assert loss.low is not None
        assert loss.high is not None
        assert loss.low < loss.value < loss.high
        size = (folder / format_ / ("model.pt2" if format_ == "pt2" else "model.onnx")).stat().st_size
        assert measured["bytes"].value == size
        assert str(results[format_].verdict) == "written"
    assert 0 < results["onnx"].measured["max_logit_difference"].value < 0.001
    assert results["int8"].measured["max_logit_difference"].value > 0.001


def test_weights_of_8_bits_are_in_the_int8_file_and_one_scale_for_each_channel(
    exported: Exported,
) -> None:
    import onnx

    graph = onnx.load(exported[0] / "int8" / "model.onnx").graph
    weights = {each.name: each for each in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    sources = {output: node for node in graph.node for output in node.output}
    assert len(convolutions) == 9  # 7, and the two shortcuts
    for node in convolutions:
        dequantise = sources[node.input[1]]
        stored, scale = (weights[name] for name in dequantise.input[:2])
        assert stored.data_type == onnx.TensorProto.INT8
        assert list(scale.dims) == [stored.dims[0]]
    first = sources[convolutions[0].input[0]]
    assert first.op_type == "DequantizeLinear"
    assert {node.op_type for node in graph.node if node.op_type in ("Mul", "Gemm")} == {"Mul", "Gemm"}


def same_processor() -> dict[str, str]:
    """What torch is told of the processor: calibrating for int8 rounds by its instructions."""
    return {name: value for name, value in os.environ.items() if name == "ATEN_CPU_CAPABILITY"}


def test_equal_models_give_equal_bytes_wherever_the_code_lies(exported: Exported, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from resnet_ops.export.formats import export_model
from tests.unit.core.export import test_export as here
model = here.untrained()
here.export(model, here.PARAMS, Path(sys.argv[1]))
"""
    root = Path(__file__).parents[4]
    elsewhere = tmp_path / "elsewhere"
    for name in ("resnet_ops", "tests"):
        (elsewhere / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-r", str(root / name), str(elsewhere / name)], check=True)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        cwd=elsewhere,
        check=True,
        env={"PYTHONPATH": str(elsewhere), "PATH": "/usr/bin:/bin", **same_processor()},
    )
    files = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*"))
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "out" / file).read_bytes() == (exported[0] / file).read_bytes(), file


class DriftingResNet(ResNet):
    """A network that export does not reproduce: its maps are multiplied by `factor` in an exported program."""

    factor = 1.0

    def stage_features(self, x: Tensor) -> dict[str, Tensor]:
        maps = super().stage_features(x)
        if torch.compiler.is_exporting():
            maps["stage3"] = maps["stage3"] * self.factor
        return maps


def drifting(factor: float) -> TrainedModel:
    torch.manual_seed(0)
    network = DriftingResNet(TINY, 1, 10).eval()
    network.factor = factor
    return replace(untrained(), network=network)


@pytest.mark.parametrize(
    ("factor", "changes", "message"),
    [
        (1.05, {}, r"refused, a logit differs by 0\.0\d+, allowed 0\.001.* \(40 images\)"),
        (
            -1.0,
            {"max_logit_difference": 1000.0},
            r"refused, predicts the same on \d+\.\d\d%, needed 100\.00%; loses .* \(40 images\)",
        ),
        (
            -1.0,
            {"max_logit_difference": 1000.0, "min_equal_predictions": 1e-9},
            r"refused, .*loses \d+\.\d points \(\d+\.\d-\d+\.\d\), allowed 0 \(40 images\)",
        ),
        (float("nan"), {}, "refused, a logit differs by .*"),
    ],
)
def test_an_export_that_predicts_otherwise_is_refused_and_makes_no_file(
    tmp_path: Path, factor: float, changes: dict[str, float], message: str
) -> None:
    results = export(drifting(factor), only("pt2", **changes), tmp_path / "export", test=40)
    assert re.fullmatch(message, str(results["pt2"].verdict))
    assert results["pt2"].measured["bytes"].value > 0, "what was refused is measured all the same"
    assert list(tmp_path.iterdir()) == []


def test_one_format_that_is_refused_leaves_the_others_and_no_file_of_an_earlier_call(
    model: TrainedModel, tmp_path: Path
) -> None:
    formats: dict[Format, Tolerance] = {"onnx": EXACT, "int8": LOOSE}
    folder = tmp_path / "export"
    export(model, replace(PARAMS, formats=formats), folder)
    before = (folder / "onnx/model.onnx").read_bytes()
    assert {path.name for path in folder.iterdir()} == {"onnx", "int8"}
    results = export(model, replace(PARAMS, formats={**formats, "int8": EXACT}), folder)
    assert results["onnx"].verdict.refusals == ()
    assert "a logit differs by" in results["int8"].verdict.refusals[0]
    assert [path.name for path in folder.iterdir()] == ["onnx"]
    assert (folder / "onnx/model.onnx").read_bytes() == before


def test_a_format_that_is_asked_for_no_more_leaves_no_file(model: TrainedModel, tmp_path: Path) -> None:
    export(model, only("pt2", "onnx"), tmp_path / "export")
    export(model, only("onnx"), tmp_path / "export")
    assert [path.name for path in (tmp_path / "export").iterdir()] == ["onnx"]


def test_an_exporter_that_breaks_is_an_error_and_takes_nothing_away(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(model, only("pt2"), tmp_path / "export")

    def broken(program: object) -> bytes:
        raise RuntimeError("this operator is not supported")

    monkeypatch.setattr("resnet_ops.export.formats.pt2_bytes", broken)
    with pytest.raises(RuntimeError, match="not supported"):
        export(model, only("pt2"), tmp_path / "export")
    assert load_exported(tmp_path / "export" / "pt2")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_not_exported(tmp_path: Path, value: float) -> None:
    broken = untrained()
    with torch.no_grad():
        broken.network.head.bias.fill_(value)
    results = export(broken, only("pt2"), tmp_path / "export", test=4)
    assert "a logit differs by" in str(results["pt2"].verdict)
    assert list(tmp_path.iterdir()) == []


def test_every_family_is_traced_to_what_it_computes() -> None:
    for changes in ({"block": "separable"}, {"squeeze": 4, "downsample": "average", "stem": "deep"}):
        model = untrained(make_imagenet_member(**changes), channels=3, image_size=32)
        images = random_images(3, channels=3, size=32)
        logits, embeddings = trace(model).module()(torch.from_numpy(images))
        expected = model.predict(images)
        assert logits.detach().numpy() == pytest.approx(expected.logits, abs=1e-4)
        assert embeddings.detach().numpy() == pytest.approx(expected.embeddings, abs=1e-4)


def test_a_missing_package_is_named_before_anything_is_done(
    model: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "resnet_ops.extras.find_spec", lambda name: None if name == "onnxscript" else find(name)
    )
    with pytest.raises(
        ConfigError, match=r"needs onnxscript, not installed.*pip install 'resnet-ops\[onnx\]'"
    ):
        export(model, only("pt2", "onnx"), tmp_path / "export")
    assert export(model, only("pt2"), tmp_path / "export")  # needs none of them


def test_an_onnx_export_is_loaded_without_torch(exported: Exported) -> None:
    code = (
        "import sys; from pathlib import Path; from resnet_ops.export.exported import load_deployed\n"
        f"load_deployed(Path({str(exported[0] / 'int8')!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_whatever_lies_in_a_folder_is_loaded_as_what_it_is(
    model: TrainedModel, exported: Exported, tmp_path: Path
) -> None:
    save_model(model, tmp_path)
    assert isinstance(load_deployed(tmp_path), TrainedModel)
    loaded = load_deployed(exported[0] / "int8")
    assert isinstance(loaded, ExportedModel)
    assert (loaded.name, loaded.format, loaded.classes) == ("tiny", "int8", CLASSES)
    assert loaded.exported_from == "0" * 64
    digests = {model_digest(folder) for folder in (tmp_path, *(exported[0] / name for name in FORMATS))}
    assert len(digests) == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_named(model: TrainedModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    with pytest.raises(ConfigError, match="no GPU"):
        load_deployed(tmp_path, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_predicts_what_the_cpu_does(model: TrainedModel, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    images = np.random.default_rng(0).integers(
        0, 256, (300, model.image_size, model.image_size, model.channels), np.uint8
    )
    on_gpu, on_cpu = (load_deployed(tmp_path, device=name).predict(images) for name in ("cuda", "cpu"))
    np.testing.assert_allclose(on_gpu.logits, on_cpu.logits, atol=1e-4)
    np.testing.assert_allclose(on_gpu.embeddings, on_cpu.embeddings, atol=1e-4)


def test_a_damaged_export_is_named(exported: Exported, tmp_path: Path) -> None:
    for file in ("model.onnx", "member.json"):
        (tmp_path / file).write_bytes((exported[0] / "int8" / file).read_bytes())
    (tmp_path / "model.onnx").write_bytes((tmp_path / "model.onnx").read_bytes()[:5000])
    with pytest.raises(DataError, match="holds no usable export"):
        load_exported(tmp_path)
    (tmp_path / "member.json").write_text(json.dumps({"format": "int8"}))
    with pytest.raises(DataError, match="KeyError: 'name'"):
        load_exported(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds model\.onnx and weights\.safetensors"):
        load_deployed(tmp_path)


def test_images_of_another_size_are_refused(exported: Exported) -> None:
    with pytest.raises(DataError, match=r"tiny takes uint8 images \(N, 8, 8, 1\)"):
        load_exported(exported[0] / "onnx").predict(random_images(2, size=9))


def test_the_settings_of_the_quantisation_are_used(exported: Exported) -> None:
    original, images = (exported[0] / "onnx" / "model.onnx").read_bytes(), random_images(70)

    def made(**changes: Any) -> bytes:
        return quantised_bytes(original, images, replace(QUANTISATION, **changes))

    base = made()
    assert made(calibration="percentile") != base
    assert made(images=1) != base
    assert (largest_weight(base), largest_weight(made(reduce_range=False))) == (64, 127)


def largest_weight(content: bytes) -> int:
    import onnx
    from onnx.numpy_helper import to_array

    stored = [to_array(each) for each in onnx.load_from_string(content).graph.initializer]
    return max(
        int(np.abs(each.astype(int)).max()) for each in stored if each.dtype == np.int8 and each.ndim == 4
    )


@pytest.mark.parametrize(
    ("difference", "equal"), [(-0.1, 1.0), (float("nan"), 1.0), (0.1, 0.0), (0.1, 1.1), (0.1, float("nan"))]
)
def test_tolerances_that_check_nothing_are_refused(difference: float, equal: float) -> None:
    with pytest.raises(ValueError, match="max_logit_difference must not be negative"):
        replace(EXACT, max_logit_difference=difference, min_equal_predictions=equal)
    with pytest.raises(ValueError, match="max_accuracy_loss is 1"):
        replace(EXACT, max_accuracy_loss=1.0)
    with pytest.raises(ValueError, match="images is 0"):
        replace(QUANTISATION, images=0)


def test_int8_reads_the_digits_as_well_as_fp32(digits: PreparedData, tmp_path: Path) -> None:
    trained = fit(make_plan(make_recipe(epochs=8)), digits)
    allowed = Tolerance(max_logit_difference=2.0, min_equal_predictions=0.98, max_accuracy_loss=0.01)
    params = replace(PARAMS, formats={"int8": allowed}, quantisation=replace(QUANTISATION, images=512))
    result = export_model(trained, "0" * 64, digits, params, 0.95, tmp_path)["int8"]
    assert result.measured["top1"].value > 0.8
    assert result.measured["equal_predictions"].value >= 0.95
