"""Policies in a project's folder, read before hours of training: `check_gates` would read them after these."""

from pathlib import Path

from resnet_ops.errors import ConfigError
from resnet_ops_registry.gate.policy_file import policy_text, read_policy

__all__ = ["check_policies", "policy_files"]

FOLDER = Path("policies")


def policy_files() -> list[Path]:
    """Those whose names end as policies do, in the order in which they are applied."""
    return sorted(path for end in (".yaml", ".yml") for path in FOLDER.glob(f"*{end}"))


def check_policies(model: str) -> str | None:
    """A remark where no file is about a model. Raises ConfigError with every problem of those that cannot be read."""
    if not FOLDER.is_dir():
        raise ConfigError(
            f"There is no folder {FOLDER}, which the stage check_gates reads. Make it: mkdir {FOLDER}"
        )
    policies, problems = [], []
    for file in policy_files():
        try:
            policies.append(read_policy(policy_text(file), str(file)))
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(" ".join(problems))
    if not any(policy.governs(model) for policy in policies):
        return (
            f"No file in {FOLDER} is about {model} (register.model in params.yaml): unless a policy in force is, no "
            f"version can become @champion. Write one with `model: {model}`."
        )
    return None
