"""Before `dvc repro`: settings, images, the machine and a lock left behind, because DVC's own words would not help.

A killed run leaves its use of files in DVC's record. DVC clears that by itself, unless the record was cut off, or the
process number belongs to another process by now, as it does after a container's restart.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from resnet_ops.console import console, report_errors
from resnet_ops.cores import usable_cores
from resnet_ops.data.sources import DataParams
from resnet_ops.errors import ConfigError
from resnet_ops.params import renamed_settings
from resnet_ops.tasks.reading.reading import reading_of
from resnet_ops.training.machine import remarks, require_gpu
from resnet_ops.training.plan import Plan
from resnet_ops_pipelines.project_checks.names import check_names, left_from_digits
from resnet_ops_pipelines.project_checks.policies import check_policies
from resnet_ops_pipelines.project_checks.repository import check_remotes, check_repository
from resnet_ops_pipelines.project_params import Params, read_params

LOCK = Path(".dvc/tmp/rwlock")


def check_images(data: DataParams) -> None:
    reading_of(data.chosen_task).check(data)
    if not data.root or not Path(data.root).exists():
        raise ConfigError(
            f"params.yaml: data.root is {data.root!r}, which does not exist, so DVC cannot watch it. Name your image "
            "folder; or, for the digits, resnet_ops/data/sources.py"
        )


def check_machine(params: Params) -> None:
    """What this machine cannot do of what the settings ask, said before hours are spent."""
    found: dict[str, None] = {}
    for name, recipe in params.family.items():
        settings, member = params.recipes[recipe], params.members[name]
        plan = Plan(name=name, member=member, recipe=settings, engine=params.train, seed=params.seed)
        size = settings.image_size or params.data.image_size
        found |= dict.fromkeys(remarks(plan, size, params.data.channels))
    if params.evaluate.device == "cuda":
        require_gpu("evaluate.device")
    for remark in found:
        console.print(remark)
    for name, profile in params.benchmark.profiles.items():
        if profile.device == "cpu" and profile.threads > usable_cores():
            console.print(
                f"benchmark.profiles.{name}.threads is {profile.threads}, but this process may use {usable_cores()} "
                "core(s): what is measured here is not what that device does. Measure on a machine like it."
            )


def clear_lock() -> None:
    if LOCK.exists() and left_behind():
        LOCK.unlink(missing_ok=True)
        console.print(f"Removed {LOCK}, which a killed run had left behind.")


def left_behind() -> bool:
    """Whether the record cannot be read, or names processes of which none runs any more."""
    for _ in range(2):
        changed = LOCK.stat().st_mtime
        try:
            numbers = process_numbers(json.loads(LOCK.read_text()))
        except (ValueError, TypeError, KeyError, AttributeError):
            time.sleep(0.5)  # perhaps it is just being written
        else:
            return bool(numbers) and not any(runs_since(number, changed) for number in numbers)
    return True


def process_numbers(record: dict[str, Any]) -> set[int]:
    writers = list(record.get("write", {}).values())
    readers = [reader for group in record.get("read", {}).values() for reader in group]
    return {int(entry["pid"]) for entry in [*writers, *readers]}


def runs_since(number: int, moment: float) -> bool:
    try:
        return psutil.Process(number).create_time() <= moment
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    with report_errors("check_project"):
        check_repository()
        params = read_params()
        check_names(params)
        for line in renamed_settings(Path("params.yaml")):
            console.print(line, style="yellow")
        if left := left_from_digits(params):
            console.print(
                f"Your images are not digits (data.source: {params.data.source}), but params.yaml still says so in "
                f"{', '.join(left)}. Name your own use case there, and apply a policy for it, before you register.",
                style="yellow",
            )
        for remark in (*check_remotes(), check_policies(params.register.model)):
            if remark:
                console.print(remark, style="yellow")
        check_images(params.data)
        check_machine(params)
        if "--look" not in sys.argv[1:]:
            clear_lock()
