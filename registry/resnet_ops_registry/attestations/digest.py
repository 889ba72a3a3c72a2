"""The digest of a version's model files, wherever they lie."""

import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

from resnet_ops.errors import EvidenceError
from resnet_ops.files import canonical_json, file_digest
from resnet_ops_registry.common.settings import WRITE_ONCE_SCHEME, artifacts_destination

__all__ = ["Fingerprint", "fingerprint", "folder_digest", "local_folder", "location_digest", "resolve"]

Fingerprint = tuple[tuple[str, int, int, int, int], ...]
_ODD = re.compile(r"[?#;%\\]")
LEFT_OUT = "registered_model_meta"
"""Added by MLflow's client when it downloads: says which version it was, and is no part of the model."""


def folder_digest(folder: Path) -> str:
    """The sha256 over the names and contents of all files under `folder`, 64 hexadecimal digits.

    Raises EvidenceError for symbolic links, special files, names that could be read in two ways, and an empty
    folder: a digest must mean the same files to everybody.
    """
    files = {name: _content(path) for name, path in _files(folder)}
    if not files:
        raise EvidenceError(f"There are no model files in {folder}.")
    return hashlib.sha256(canonical_json(files)).hexdigest()


def _content(path: Path) -> str:
    try:
        return file_digest(path)
    except OSError as error:
        raise EvidenceError(f"The model file {path} cannot be read: {error.strerror}.") from error


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    def fail(error: OSError) -> None:
        raise EvidenceError(f"The model files in {folder} cannot be read: {error.strerror}.") from error

    for root, folders, names in os.walk(folder, onerror=fail):
        for name in folders + names:
            path = Path(root) / name
            relative = path.relative_to(folder).as_posix()
            if not _is_plain(name):
                raise EvidenceError(f"The model files hold an odd name: {relative!r}.")
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise EvidenceError(
                    f"The model files hold {relative!r}, which is a link or not a plain file."
                )
            if name in names and relative != LEFT_OUT:
                yield relative, path


def _is_plain(name: str) -> bool:
    return (
        name == unicodedata.normalize("NFC", name)
        and name == name.strip()
        and "\\" not in name
        and all(character.isprintable() for character in name)
    )


def location_digest(location: str, workspace: str | None = None) -> str:
    """The digest of the files at an artifact location: a path, file:, s3: and the like, or mlflow-artifacts:.

    Files on this machine are read in place, others are downloaded to a temporary folder. workspace: as for `resolve`.
    Raises EvidenceError when they cannot be read.
    """
    location = resolve(location, workspace)
    folder = local_folder(location)
    if folder is not None:
        return folder_digest(folder)
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory(prefix="resnet-ops-") as temporary:
        try:
            return folder_digest(Path(download_artifacts(artifact_uri=location, dst_path=temporary)))
        except EvidenceError:
            raise
        # each storage library has errors of its own, and a library may be missing: all mean that nothing was read
        except Exception as error:
            missing = str(error.name).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
            why = f"{missing} is not installed here" if missing else type(error).__name__
            raise EvidenceError(f"The model files cannot be read ({why}).") from error


def local_folder(location: str) -> Path | None:
    """The folder at a location on this machine, or None for a remote one.

    As MLflow reads it: `%41` is an A, in a plain path too, the host of `file://HOST/PATH` counts for nothing, and
    `c:/x` is a path on every system.
    """
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import get_uri_scheme

    if get_uri_scheme(location) not in ("", "file"):  # type: ignore[no-untyped-call]
        return None
    return Path(local_file_uri_to_path(location))  # type: ignore[no-untyped-call]


def fingerprint(location: str, workspace: str | None = None) -> Fingerprint:
    """What tells cheaply whether files at a location were written: empty where they lie on another machine.

    Times of change (ctime) are set by the file system alone, so a writer cannot put them back.
    """
    folder = local_folder(resolve(location, workspace))
    if folder is None:
        return ()
    try:
        states = sorted(_states(folder))
    except OSError as error:
        raise EvidenceError(f"The model files in {folder} cannot be read: {error.strerror}.") from error
    return tuple((path, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in states)


def _states(folder: Path | str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            yield entry.path, entry.stat()
            if entry.is_dir(follow_symlinks=False):
                yield from _states(entry.path)


def resolve(location: str, workspace: str | None = None) -> str:
    """Where the server keeps what clients know as `mlflow-artifacts:/PATH`; other locations as they are.

    `runs:/RUN/PATH` is where that run keeps its files. workspace: the version's, since the path is within it; that of
    the request or client where none is given. Raises EvidenceError where the server's artifacts cannot be reached from
    here, or are another workspace's.
    """
    parsed = urlparse(location)
    if parsed.scheme == "runs":
        return resolve(_of_run(location), workspace)
    _check_reading(location)
    if parsed.scheme != "mlflow-artifacts":
        return location
    destination = artifacts_destination()
    if not destination:
        raise EvidenceError(
            "The model files are behind an MLflow server (mlflow-artifacts:), and only there can they be judged. On "
            "the server's machine, set RESNET_OPS_ARTIFACTS to its --artifacts-destination."
        )
    path = location.partition(":")[2].strip("/")
    if _ODD.search(path) or any(part in ("", ".", "..") for part in path.split("/")):
        raise EvidenceError("The model files' location holds an odd path.")
    root, path = destination.removeprefix(WRITE_ONCE_SCHEME), _in_workspace(path, workspace)
    folder = local_folder(root)
    return (folder / path).absolute().as_uri() if folder else f"{root.rstrip('/')}/{path}"


def _check_reading(location: str) -> None:
    """Raise EvidenceError for a location that another program, or another folder to work in, reads as another place."""
    parsed, folder = urlparse(location), local_folder(location)
    known = parsed.scheme in ("", "file", "mlflow-artifacts", "http", "https")
    if known and parsed.netloc and (parsed.scheme, parsed.netloc) != ("file", "localhost"):
        raise EvidenceError(
            f"The location of the model files names a host ({parsed.netloc[:100]}): the files hashed here might not be "
            "the ones loaded. Log the model again into a location without a host."
        )
    if not known and _ODD.search(location):
        raise EvidenceError(
            "The location of the model files holds ?, #, ; or %, which stores read differently. Log the model "
            "again into a folder without them."
        )
    if folder is not None and not folder.is_absolute():
        raise EvidenceError(
            f"The location of the model files, {location[:100]}, is no whole path: which folder it is depends on where "
            "somebody asks. Register the model by its whole path."
        )


def _of_run(location: str) -> str:
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    try:
        found = str(RunsArtifactRepository.get_underlying_uri(location))
        if urlparse(found).scheme == "runs":
            raise MlflowException("its files are another run's, and so on perhaps without an end")
    except MlflowException as error:
        raise EvidenceError(
            f"The location of the model files, {location[:100]}, names a run that cannot be read here. Register the "
            "model by its own location."
        ) from error
    return found


def _in_workspace(path: str, workspace: str | None) -> str:
    """As MLflow's server puts it, in whose name the files are asked for; nobody asks an audit."""
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
    from mlflow.utils.workspace_context import get_request_workspace
    from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME

    enabled = MLFLOW_ENABLE_WORKSPACES.get()  # type: ignore[no-untyped-call]
    ours = workspace or (get_request_workspace() if enabled else None) or DEFAULT_WORKSPACE_NAME
    first, *rest = path.split("/")
    if first == "workspaces" and (enabled or ours != DEFAULT_WORKSPACE_NAME):
        if rest[:1] != [ours] or len(rest) == 1:
            raise EvidenceError(f"The location of the model files is not in the workspace {ours}.")
        return path
    return path if ours == DEFAULT_WORKSPACE_NAME else f"workspaces/{ours}/{path}"
