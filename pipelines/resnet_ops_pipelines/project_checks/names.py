"""Names in `params.yaml`: what DVC, MLflow, the shell and file systems take, before anything is trained."""

import re
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec

from resnet_ops.errors import ConfigError
from resnet_ops_pipelines.project_params import Params

__all__ = ["check_names", "left_from_digits"]

_DIGITS = "digits"
"""What the names and texts are about that come with the project."""

_LONGEST_MODEL, _LONGEST_EXPERIMENT = 256, 500  # MLflow's


def check_names(params: Params) -> None:
    """Raise ConfigError that lists every name which a later stage would stumble over, with what it may be."""
    groups: dict[str, Iterable[str]] = {
        "members": params.members,
        "recipes": params.recipes,
        "deployments": params.deployments,
        "benchmark.profiles": params.benchmark.profiles,
        "monitor.windows": params.monitor.windows,
    }
    wrong = [fault for group, names in groups.items() for fault in _faults(group, names)]
    model, experiment = params.register.model, params.register.experiment
    if not model.isprintable() or model.strip(" .") != model or not 0 < len(model) <= _LONGEST_MODEL:
        wrong.append(f"register.model {model!r}: is empty, too long or ends with a blank or a dot")
    if unfit := sorted(set(model) & set("/:\\\"'?#%*")):
        wrong.append(f"register.model {model!r}: MLflow or its addresses do not take {' '.join(unfit)}")
    if not experiment.isprintable() or not 0 < len(experiment.strip()) <= _LONGEST_EXPERIMENT:
        wrong.append(f"register.experiment {experiment!r}: is empty or too long")
    if wrong:
        raise ConfigError("params.yaml: these names cannot be used:\n  " + "\n  ".join(wrong))
    mlflow = find_spec("mlflow")
    if mlflow is not None and "%" in (mlflow.origin or ""):
        raise ConfigError(
            f"The environment lies in a folder with % in its name ({mlflow.origin}), which MLflow's database cannot be "
            "made from. Rename the folder, or make the environment elsewhere: make install VENV=/other/folder"
        )


def left_from_digits(params: Params) -> list[str]:
    """Settings that still speak of the digits although the images are others."""
    register = params.register
    texts = {
        "register.model": register.model,
        "register.experiment": register.experiment,
        "register.card.intended_use": register.card.intended_use,
        "register.card.limits": register.card.limits,
    }
    return [key for key, text in texts.items() if params.data.source != _DIGITS and _DIGITS in text]


def _faults(group: str, names: Iterable[str]) -> list[str]:
    spellings = defaultdict(list)
    for name in names:
        spellings[name.casefold()].append(name)
    faults = [
        f"{group}.{name}: write it with letters, digits, - and _ only, and begin with a letter or digit"
        for same in spellings.values()
        for name in same
        if not re.fullmatch(r"[^\W_][\w-]{0,99}", name)
    ]
    alike = [" and ".join(same) for same in spellings.values() if len(same) > 1]
    return faults + [
        f"{group}: {names} differ only in case, which some file systems ignore" for names in alike
    ]
