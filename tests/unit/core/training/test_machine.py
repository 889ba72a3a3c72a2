"""What a machine cannot do of what a training's settings ask is said before anything is trained."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from resnet_ops.cores import usable_cores
from resnet_ops.errors import ConfigError
from resnet_ops.params import parse_params
from resnet_ops.training import machine
from resnet_ops.training.machine import precision_cost, remarks, require_machine
from resnet_ops_pipelines.check_project import check_machine
from resnet_ops_pipelines.project_params import Params
from tests.unit.core.makers import ENGINE, make_plan
from tests.unit.project_imports import ROOT

TOO_MANY = 2 * usable_cores()


def test_what_every_machine_can_do_needs_no_remark() -> None:
    assert remarks(make_plan(), 8, 1) == []


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (
            {"threads": TOO_MANY},
            f"train.threads is {TOO_MANY}, but this process may use {usable_cores()} core",
        ),
        (
            {"threads": 1, "processes": TOO_MANY},
            f"train.threads is 1 in each of {TOO_MANY} processes, but this process may use",
        ),
    ],
)
def test_threads_above_the_cores_are_told_with_what_follows(engine: dict[str, Any], said: str) -> None:
    (remark,) = remarks(make_plan(**engine), 8, 1)
    assert said in remark
    assert "Keep it to repeat" in remark


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.device is cuda, .*no GPU"):
        remarks(make_plan(device="cuda"), 8, 1)


def test_a_gpu_for_the_evaluation_is_missed_before_anything_is_trained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    settings["evaluate"]["device"] = "cuda"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ConfigError, match=r"evaluate\.device is cuda, .*no GPU"):
        check_machine(parse_params(tmp_path / "params.yaml", Params))


def test_more_workers_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"train\.processes is 3, .* Set it to 2"):
        require_machine(make_plan(device="cuda", processes=3).engine)


@pytest.mark.parametrize(("device", "language"), [("cpu", "C++"), ("cuda", "C")])
def test_compiling_without_a_compiler_is_refused(
    device: str, language: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    engine = make_plan(device=device, compile="default").engine
    with pytest.raises(ConfigError, match=re.escape(f"no {language} compiler here")):
        require_machine(engine)
    for name in ("mycc", "mycxx"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("CC", "mycc")
    monkeypatch.setenv("CXX", "mycxx")
    require_machine(engine)


@pytest.mark.parametrize(("cost", "is_told"), [(4.0, True), (1.0, False)])
def test_bf16_is_told_of_where_it_is_measured_to_be_slower(
    cost: float, is_told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "precision_cost", lambda *_: cost)
    said = remarks(make_plan(precision="bf16"), 8, 1)
    assert bool(said) is is_told
    if is_told:
        assert "tiny takes 4.0 times as long" in said[0]
        assert "Set train.precision to fp32" in said[0]


def test_the_cost_of_bf16_is_measured_and_leaves_the_threads_as_they_were() -> None:
    before = torch.get_num_threads()
    assert precision_cost(make_plan(precision="bf16"), 8, 1) > 0
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("capability", "is_told"), [((7, 5), True), ((8, 0), False), ((9, 0), False)])
@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_a_gpu_without_the_arithmetic_is_told_of(
    capability: tuple[int, int], is_told: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    said = remarks(make_plan(device="cuda", precision=precision), 8, 1)
    assert len(said) == is_told
    assert all(f"train.precision is {precision}, for which Old GPU" in remark for remark in said)


def test_a_settled_engine_needs_no_gpu_and_no_compiler() -> None:
    require_machine(ENGINE)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "99999900000 100000\n"}, None),
        ({"cpu.max": "not a quota"}, None),
        ({"cpu.max": "100000 0\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_a_container_may_allow_fewer_cores_than_the_machine_has(
    files: dict[str, str], cores: int | None, tmp_path: Path
) -> None:
    every = usable_cores(tmp_path / "nothing")
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert usable_cores(tmp_path) == (every if cores is None else cores)
