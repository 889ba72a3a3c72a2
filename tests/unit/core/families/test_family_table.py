"""The table of architectures: published sizes, and the docs that hold it as the code counts it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from resnet_ops.cli import build_app
from resnet_ops.errors import ConfigError
from resnet_ops.families.catalogue import CATALOGUE
from resnet_ops.families.counting import count
from resnet_ops.families.imagenet_member import ImageNetMember
from resnet_ops.families.member import Member
from resnet_ops.families.table import Row, family_table, table_as_markdown
from resnet_ops.params import parse_params
from resnet_ops_pipelines.project_params import Params

ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {row.name: row for row in family_table()}


@pytest.mark.slow
def test_what_is_kept_is_what_the_networks_weigh(rows: dict[str, Row]) -> None:
    for entry in CATALOGUE:
        row = rows[entry.name]
        kept = {"parameters": row.parameters, "flops": row.flops, "features": row.features}
        assert kept == count(entry), (
            "run: python -m resnet_ops.families.counting > resnet_ops/families/counts.json"
        )


def test_the_command_loads_no_network() -> None:
    code = "import sys, resnet_ops.families.table as t; t.family_table(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "millions", "digits"),
    [
        ("cifar-resnet20", 0.27, 2),
        ("cifar-resnet56", 0.85, 2),
        ("cifar-resnet110", 1.7, 1),
        ("cifar-resnet1202", 19.4, 1),
        ("preact-resnet110", 1.7, 1),
        ("preact-resnet164", 1.7, 1),
        ("resnet152", 60.2, 1),
    ],
)
def test_parameters_are_those_of_the_papers_tables(
    name: str, millions: float, digits: int, rows: dict[str, Row]
) -> None:
    assert round(rows[name].parameters / 1e6, digits) == millions


@pytest.mark.parametrize(
    ("name", "billions"), [("resnet18", 1.814), ("resnet50", 4.089), ("resnet152", 11.514)]
)
def test_multiply_adds_are_the_published_ones(name: str, billions: float, rows: dict[str, Row]) -> None:
    assert round(rows[name].flops / 2e9, 3) == billions


def test_the_docs_hold_the_table_as_the_code_counts_it(rows: dict[str, Row]) -> None:
    said = (
        "docs/families.md is out of date: replace its table by what `resnet-ops families --markdown` prints"
    )
    assert table_as_markdown(rows.values()) in (ROOT / "docs/families.md").read_text(), said


def test_the_command_prints_the_table_for_people_and_programs(rows: dict[str, Row]) -> None:
    plain = CliRunner().invoke(build_app(), ["families"])
    assert plain.exit_code == 0
    listed = json.loads(CliRunner().invoke(build_app(), ["families", "--json"]).stdout)
    assert {row["name"]: row["parameters"] for row in listed} == {
        n: row.parameters for n, row in rows.items()
    }


def with_member(folder: Path, settings: Any) -> Path:
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["members"]["mine"] = settings
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


CIFAR = {"depth": 8, "widths": [4, 4, 8], "stem_kernel": 3, "stem_stride": 1, "shortcut": "identity"}
IMAGENET = yaml.safe_load((ROOT / "params.yaml").read_text())["members"]["resnet18"]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [(CIFAR, Member), ({**CIFAR, "family": "cifar"}, Member), (IMAGENET, ImageNetMember)],
)
def test_the_family_of_a_member_decides_its_settings(tmp_path: Path, settings: Any, kind: type) -> None:
    assert isinstance(parse_params(with_member(tmp_path, settings), Params).members["mine"], kind)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({**CIFAR, "depth": 9}, "members.mine.depth is 9, but must be 6n"),
        ({**CIFAR, "family": "vgg"}, "members.mine: family must be cifar, preactivation, imagenet"),
        ({**IMAGENET, "depth": 18}, "members.mine.depth is not a known setting"),
        ({**IMAGENET, "layers": [2, 2, 2]}, "members.mine.layers.3 is missing"),
        ({**IMAGENET, "groups": 2}, "members.mine.groups must be 1"),
        ({**IMAGENET, "stem": "big"}, "members.mine.stem: input should be 'standard', 'deep' or 'small'"),
        ("resnet20", "members.mine: input should be a dictionary"),
    ],
)
def test_a_mistake_in_a_member_is_named_by_its_key(tmp_path: Path, settings: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_params(with_member(tmp_path, settings), Params)
