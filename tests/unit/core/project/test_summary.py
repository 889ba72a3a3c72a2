"""The summary of a run says by how much versions miss a limit, and which images would help."""

from pathlib import Path

import pytest

from resnet_ops.files import write_json
from resnet_ops.params import parse_params
from resnet_ops_pipelines.project_params import Params
from resnet_ops_pipelines.show_summary import aliases_of, shortfall_lines

PARAMS = Path(__file__).parents[4] / "params.yaml"


def test_a_refused_version_is_followed_by_the_class_with_the_fewest_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = parse_params(PARAMS, Params)
    monkeypatch.chdir(tmp_path)
    said = {
        "member": "resnet8",
        "version": 1,
        "refusals": {},
        "shortfalls": ["operating.specificity: 12 of 26"],
    }
    write_json(Path("reports/gates.json"), {"candidates": [said]})
    assert shortfall_lines(params) == ["v1 resnet8, operating.specificity: 12 of 26"]
    for folder, rows in (("prepared", "bad\ngood\nbad\n"), ("production", "bad\n")):
        manifest = Path("data") / folder / "manifest.csv"
        manifest.parent.mkdir(parents=True)
        manifest.write_text(f"class_name\n{rows}")
    _, helps = shortfall_lines(params)
    assert "good (1 of 4 now" in helps
    assert f"policy power policies/{params.register.model}.yaml" in helps
    other = said | {"version": 2, "shortfalls": []}
    write_json(Path("reports/gates.json"), {"candidates": [said, other]})
    assert shortfall_lines(params) == ["v1 resnet8, operating.specificity: 12 of 26"]
    write_json(Path("reports/gates.json"), {"candidates": [said | {"shortfalls": []}]})
    assert shortfall_lines(params) == []
    del said["shortfalls"]  # as an earlier release wrote it
    write_json(Path("reports/gates.json"), {"candidates": [said]})
    assert shortfall_lines(params) == []


@pytest.mark.parametrize(
    ("serving", "said"),
    [
        ({"version": 2, "alias": "champion"}, ["@challenger"]),
        ({"version": 1, "alias": "champion"}, ["@champion", "@challenger"]),
        ({"version": 1, "alias": "challenger"}, ["@challenger"]),
        ({"version": None, "alias": None}, ["@challenger"]),
    ],
)
def test_a_version_in_the_table_carries_what_it_holds(serving: dict[str, object], said: list[str]) -> None:
    assert aliases_of({"member": "resnet8", "version": 1}, "resnet8", serving) == said
    assert "@challenger" not in aliases_of({"member": "resnet8", "version": 1}, None, serving)
