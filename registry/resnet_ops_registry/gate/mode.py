"""The switch of a policy between observing and enforcing: a new version of its text, applied as any other."""

from pathlib import Path
from typing import Literal

import yaml
from sqlalchemy import Connection

from resnet_ops.errors import ConfigError
from resnet_ops.files import write_text
from resnet_ops_registry.attestations.keys import PrivateKey
from resnet_ops_registry.database import tables
from resnet_ops_registry.gate.policies import AppliedPolicy, apply_policy, list_policies, policy_for
from resnet_ops_registry.gate.policy_file import read_policy

__all__ = ["Mode", "keep_file", "switch_mode", "with_mode"]

Mode = Literal["enforce", "observe"]


def switch_mode(
    connection: Connection, model: str, mode: Mode, by: PrivateKey | None = None
) -> tuple[AppliedPolicy, AppliedPolicy]:
    """The policy of this name before and after it enforces or observes; the same one where it does already.

    by: the operator's key, needed as soon as one is trusted. Raises ConfigError where no policy has this very name, or
    its text cannot be read.
    """
    tables.lock(connection)
    before = next((each for each in list_policies(connection) if each.policy.model == model), None)
    if before is None:
        over = policy_for(connection, model)
        instead = f"It is governed by {over.label}: switch that, or give {model} a" if over else "Propose a"
        raise ConfigError(f"No policy has the name {model}. {instead} policy: resnet-ops policy init {model}")
    if before.policy.mode == mode and not before.problem:
        return before, before
    text = with_mode(before.content, before.file, mode)
    return before, apply_policy(connection, text, before.file, by)[0]


def with_mode(text: str, file: str, mode: Mode) -> str:
    """A policy's text with another mode and nothing else changed. Raises ConfigError where it is no policy."""
    known = read_policy(text, file)
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    value = next((value for key, value in root.value if key.value == "mode"), None)
    if value is not None:
        changed = text[: value.start_mark.index] + mode + text[value.end_mark.index :]
    else:
        start = root.start_mark.index + bool(root.flow_style)
        end = ", " if root.flow_style else "\n" + " " * root.start_mark.column
        changed = f"{text[:start]}mode: {mode}{end}{text[start:]}"
    if read_policy(changed, file) != known.model_copy(update={"mode": mode}):
        raise ConfigError(f"Write `mode: {mode}` into {file} yourself, then: resnet-ops policy apply {file}")
    return changed


def keep_file(before: AppliedPolicy, after: AppliedPolicy) -> bool:
    """Write the switch into the file that the policy came from. Gives False where that holds something else."""
    file = Path(after.file)
    try:
        if file.read_text(encoding="utf-8-sig") not in (before.content, after.content):
            return False
        write_text(file, after.content)
    except (OSError, UnicodeDecodeError):
        return False
    return True
