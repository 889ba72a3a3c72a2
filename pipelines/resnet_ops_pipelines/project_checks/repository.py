"""The project's folder as DVC needs it, because its own words would not help, or `make repro` would not show them."""

from pathlib import Path

import yaml

from resnet_ops.errors import ConfigError

__all__ = ["check_repository"]

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
