"""The files that `resnet-ops init` proposes say what was found, whatever it is called."""

from pathlib import Path

import pytest

from resnet_ops.data.params import DataParams, SplitParams
from resnet_ops.families.member import Member
from resnet_ops.params import parse_params
from resnet_ops.training.engine import Engine
from resnet_ops_pipelines.new_project.members import Fit
from resnet_ops_pipelines.new_project.proposal import Proposal, propose
from resnet_ops_pipelines.new_project.survey import Survey
from resnet_ops_pipelines.project_names import check_names
from resnet_ops_pipelines.project_params import Params


def found(bad: int = 40, good: int = 40) -> Survey:
    """A survey of grey images of 8 pixels. bad, good: images of the test split."""
    data = DataParams(
        source="imagefolder",
        root="images",
        image_size=8,
        channels=1,
        fit="crop",
        background=255,
        grey_bits="auto",
        window=None,
        similar_classes="ask",
        conflicts="stop",
        group=None,
        split=SplitParams(train=0.6, validation=0.1, test=0.2, production=0.1),
    )
    times = {"train": 3, "validation": 1, "test": 1, "production": 1}
    return Survey(
        data=data,
        formats={"png": 6 * (bad + good)},
        sizes=((8, 8), (8, 8), (8, 8)),
        classes=("bad", "good"),
        counts={split: {"bad": each * bad, "good": each * good} for split, each in times.items()},
        groups={},
        repeated=0,
        notes=(),
    )


def proposed(survey: Survey, name: str = "parts", positive: str | None = None) -> Proposal:
    engine = Engine(
        device="cpu", processes=1, threads=1, precision="fp32", compile=False, exact=True, images="auto"
    )
    small = Member(depth=8, widths=(16, 32, 64), stem_kernel=3, stem_stride=1, shortcut="projection")
    fit = Fit(8, {"resnet8": small}, engine, {"resnet8": 0.001}, ())
    return propose(survey, fit, name, "images", 0, positive)


def settings(made: Proposal, place: Path) -> Params:
    path = place / "params.yaml"
    path.write_text(made.files["params.yaml"])
    return parse_params(path, Params)


@pytest.mark.parametrize("name", ["2024", "2024-05-01", "null", "yes", "1_000", "0x1f", "parts"])
def test_a_name_stays_a_name_whatever_yaml_would_take_it_for(tmp_path: Path, name: str) -> None:
    params = settings(proposed(found(), name), tmp_path)
    check_names(params)
    assert (params.register.model, params.register.experiment) == (name, name)
