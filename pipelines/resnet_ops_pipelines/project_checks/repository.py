"""The project's folder as DVC needs it, because its own words would not help, or `make repro` would not show them."""

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from resnet_ops.errors import ConfigError

__all__ = ["check_remotes", "check_repository"]

_FILES = (Path("dvc.lock"), Path("dvc.yaml"), Path("params.yaml"))
_CONFLICT = ("<<<<<<< ", "=======", ">>>>>>> ")


def check_repository() -> None:
    """Raise ConfigError that names the file which stops DVC, and the remedy."""
    here = Path.cwd()
    without_git = Path(".dvc/config").exists() and "no_scm = true" in Path(".dvc/config").read_text()
    if not without_git and not any((folder / ".git").exists() for folder in (here, *here.parents)):
        raise ConfigError(
            f"{here} is not a git repository, and DVC needs one. Run: git init && git add -A && git commit -m start. "
            "Or let DVC work without: dvc config core.no_scm true"
        )
    for path in _FILES:
        _check(path)
    _check_stages()


def check_remotes() -> list[str]:
    """A remark for each reason for which `dvc push` and `dvc pull` will fail: a default that is no remote, and a remote
    whose plugin for DVC is not installed. Raises ConfigError where DVC's own settings cannot be read.
    """
    from dvc.config import Config  # type: ignore[import-untyped]
    from dvc.config import ConfigError as Broken

    if not Path(".dvc").is_dir():
        return []
    try:
        settings = Config(str(Path(".dvc").resolve()))
    except TypeError:
        raise ConfigError(
            "DVC's settings cannot be read: a value with a comma is a list to DVC. Put it in quotes in .dvc/config, "
            '.dvc/config.local or your own settings: url = "/parts/a,b"'
        ) from None
    except (Broken, OSError) as error:
        why = re.sub(r"\(.*\) ", "", str(error))  # a line that is no setting may hold a password
        raise ConfigError(
            f"DVC's settings cannot be read: {why}. Correct .dvc/config.local or your own, or restore the project's: "
            "git checkout -- .dvc/config"
        ) from None
    remotes, default = settings["remote"], settings["core"].get("remote")
    remarks = [_without_plugin(name, remote["url"]) for name, remote in remotes.items() if "url" in remote]
    if default and default not in remotes:
        remarks.append(_no_remote(default))
    return [remark for remark in remarks if remark]


def _no_remote(default: str) -> str:
    """What to do about a default that is no remote; people write an address there, which may hold a password."""
    what, add = f"{default}, and no remote has that name", f"dvc remote add {default}"
    if "://" in default:
        what, add = "an address, not a remote's name", "dvc remote add --default NAME"
    return f"DVC's settings: core.remote is {what}, so dvc push and dvc pull will fail. Say where it is: {add} ADDRESS"


def _without_plugin(name: str, address: str) -> str | None:
    """A remark where the package is missing by which DVC reaches an address; these may hold a password."""
    from dvc_objects.fs import known_implementations

    scheme = urlsplit(address).scheme
    reached = known_implementations.get(scheme)
    package = reached["class"].partition(".")[0] if reached else None
    if package is None or find_spec(package) is not None:
        return None
    return (
        f"DVC's settings: the remote {name} is at {scheme}://, and DVC's plugin for it is not installed, so nothing "
        f"can be pushed to it or pulled from it. Install it: pip install {package.replace('_', '-')}"
    )


def _check_stages() -> None:
    """Every stage of ours must be in the release that is installed."""
    try:
        text = Path("dvc.yaml").read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return
    wanted = dict.fromkeys(re.findall(r"python -m (resnet_ops_pipelines\.\w+)", text))
    missing = [module for module in wanted if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"dvc.yaml runs {', '.join(missing)}, which the installed resnet-ops does not have. Take its stages: "
            "resnet-ops upgrade"
        )


def _check(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if any(line.startswith(_CONFLICT) for line in text.splitlines()):
            raise ConfigError(
                f"{path} holds both sides of a merge conflict. Take one, then run the same command again: "
                f"git checkout --theirs {path}"
            )
        yaml.safe_load(text)
    except FileNotFoundError:
        return  # a first run has no lock; what else is missing says its reader
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}. Change its permissions: chmod u+rw {path}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"{path} is not valid YAML ({why}). Restore it: git checkout -- {path}") from error
