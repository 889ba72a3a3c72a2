"""A process's folder of segments, under a lock that dies with the process; then one other process takes it over."""

import fcntl
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from sqlalchemy.engine import URL

from resnet_ops_monitoring.inference_log.client.segments import Segment
from resnet_ops_registry.common.settings import STATE

__all__ = ["NoRoom", "Spool", "spool_folder", "spool_root"]

_LOCK = "lock"
_ENDING = ".segment"
_LOOK = 1.0
"""Seconds between two looks at what all processes have put by."""


class NoRoom(OSError):
    """All the space that segments may take is taken."""


def spool_root() -> Path:
    """Where all segments lie: RESNET_OPS_INFERENCE_SPOOL, or else var/inference-spool."""
    told = os.environ.get("RESNET_OPS_INFERENCE_SPOOL")
    return (Path(told) if told else STATE / "inference-spool").absolute()


def spool_folder(root: Path, url: URL) -> Path:
    """Where segments for this database lie: rows for another one never come into it."""
    database = url.database or ""
    if url.get_backend_name() == "sqlite" and not database.startswith("file:"):
        database = os.path.abspath(database)  # noqa: PTH100 -- a name, whether or not there is such a file
    place = f"{url.get_backend_name()}://{url.host or ''}:{url.port or ''}/{database}"
    return root / hashlib.sha256(place.encode()).hexdigest()[:16]


class Spool:
    """The segments of one process, of which the last may still grow.

    most: bytes that the segments of all processes may take together, looked at once a second and before anything is
    refused; segment: bytes from which a segment is full. Two threads may use it: one writes, the other ships and
    adopts.
    """

    def __init__(self, root: Path, most: int, segment: int) -> None:
        self._root, self._most, self._full = root, most, segment
        self._folder: Path | None = None
        self._lock, self._opening = -1, Lock()
        self._growing: Segment | None = None
        self._looking, self._looked, self._used = Lock(), -_LOOK, 0

    @property
    def growing(self) -> bool:
        """Whether a segment is open that holds records."""
        return self._growing is not None and self._growing.size > 0

    @property
    def full(self) -> bool:
        """Whether the open segment has grown enough."""
        return self._growing is not None and self._growing.size >= self._full

    def add(self, contents: Sequence[bytes], *, beyond: bool = False) -> None:
        """Put records by, for good when this returns. beyond: also where the space is used up.

        Raises NoRoom where it is, OSError where the disk refuses; then nothing is put by.
        """
        size = sum(map(len, contents))
        if not beyond and self.used() + size > self._most and self.used(within=0.0) + size > self._most:
            raise NoRoom(f"segments hold {self._most:,} bytes, all that they may")
        folder = self._opened()
        if self._growing is None:
            self._growing = Segment(folder / f"{time.time_ns() // 1000:017}-{uuid.uuid4().hex[:8]}{_ENDING}")
        before = self._growing.size
        self._growing.add(contents)
        with self._looking:
            self._used += self._growing.size - before

    def seal(self) -> Path | None:
        """End the open segment and say where it is; None where there is none with records."""
        if self._growing is None:
            return None
        sealed, self._growing = self._growing, None
        sealed.close()
        if sealed.size:
            return sealed.path
        sealed.path.unlink(missing_ok=True)
        return None

    def used(self, within: float = _LOOK) -> int:
        """Bytes that all processes had put by so many seconds ago at most, and this one since.

        Files are not looked at for each batch: a thread that does so loses the interpreter's lock at every file.
        """
        with self._looking:
            if time.monotonic() - self._looked >= within:
                self._used = sum(map(_size, _folders(self._root)))
                self._looked = time.monotonic()
            return self._used

    def oldest(self) -> float | None:
        """Seconds since 1970 when the oldest record was put by; None without any."""
        waiting = _segments(self._folder) if self._folder else []
        return int(waiting[0].name[:17]) / 1e6 if waiting else None

    def adopt(self) -> list[Path]:
        """Move the segments that dead processes left into this folder, oldest first. Raises OSError."""
        moved = []
        for folder in _folders(self._root):
            if folder == self._folder:
                continue
            with _locked(folder) as mine:
                for path in _segments(folder) if mine else []:
                    moved.append(path.rename(self._opened() / path.name))
                if mine:
                    _remove(folder)
        return sorted(moved, key=lambda path: path.name)

    def close(self) -> None:
        """Let go: what is still put by belongs to whoever looks next."""
        self.seal()
        if self._folder is not None:
            if not _segments(self._folder):
                _remove(self._folder)
            os.close(self._lock)
            self._folder = None

    def forget(self) -> None:
        """In a forked process: let go of what is the parent's, without a word to it."""
        if self._growing is not None:
            self._growing.close()
        if self._folder is not None:
            os.close(self._lock)

    def _opened(self) -> Path:
        """This process's folder, which is never seen without its lock: it gets its name when it is locked."""
        with self._opening:
            if self._folder is None:
                name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
                hidden = self._root / f".{name}"
                hidden.mkdir(parents=True, mode=0o700)
                self._lock = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX)
                self._folder = hidden.rename(self._root / name)
            return self._folder


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether the folder's process is dead and nobody else takes it over."""
    try:
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        yield False  # taken over in between
        return
    try:
        yield _lock(file)
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _folders(root: Path) -> list[Path]:
    """Whoever else may write in `root`: a folder of theirs, or a link, is none of ours."""
    found = _entries(root)
    mine = (each for each in found if not each.name.startswith(".") and each.is_dir(follow_symlinks=False))
    return sorted(Path(each.path) for each in mine if _is_mine(each))


def _segments(folder: Path) -> list[Path]:
    """Oldest first."""
    found = [each for each in _entries(folder) if re.fullmatch(rf"\d{{17}}-\w+{_ENDING}", each.name)]
    files = (Path(each.path) for each in found if each.is_file(follow_symlinks=False) and _is_mine(each))
    return sorted(files, key=lambda path: path.name)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _is_mine(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def _size(folder: Path) -> int:
    total = 0
    for path in _segments(folder):
        with suppress(FileNotFoundError):  # shipped in between
            total += path.stat().st_size
    return total


def _remove(folder: Path) -> None:
    """A folder without segments."""
    with suppress(OSError):  # somebody put a file there
        (folder / _LOCK).unlink(missing_ok=True)
        folder.rmdir()
