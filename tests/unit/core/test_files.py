"""Writing files: whole or not at all, on disks that are full, read-only or interrupted."""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resnet_ops.errors import DataError, StorageError
from resnet_ops.files import (
    canonical_json,
    file_digest,
    read_json,
    write_bytes,
    write_json,
    write_path,
    write_text,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that holds b"old"."""
    (tmp_path / "file").write_bytes(b"old")
    return tmp_path / "file"


def test_content_replaces_what_was_there_and_leaves_nothing_else(path: Path) -> None:
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "file", "Grüße")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == "Grüße".encode()


def test_others_may_read_what_was_written(path: Path) -> None:
    write_bytes(path, b"new")
    assert path.stat().st_mode & 0o777 == 0o644


def test_readers_see_the_old_content_until_the_new_is_whole(path: Path) -> None:
    with write_path(path) as temporary:
        temporary.write_bytes(b"ne")
        assert path.read_bytes() == b"old"
        assert temporary.parent == path.parent
    assert path.read_bytes() == b"ne"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_inside_leaves_the_old_content_and_no_temporary_file(
    path: Path, error: type[BaseException]
) -> None:
    def interrupted() -> None:
        with write_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_killed_process_leaves_the_old_content(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from resnet_ops.files import write_path\n"
        "with write_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], timeout=60)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.fixture
def small_limit() -> Iterator[None]:
    """No file of this process may grow beyond 4096 bytes: the system refuses the write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_limit")
def test_a_write_that_the_system_cuts_off_leaves_the_old_content(path: Path) -> None:
    with pytest.raises(StorageError, match=rf"Cannot write {path}: File too large"):
        write_bytes(path, b"x" * 10_000)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
    write_bytes(path, b"x" * 4000)
    assert path.stat().st_size == 4000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_leaves_the_old_content(path: Path) -> None:
    def write_to_full_disk() -> None:
        with write_path(path) as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            temporary.write_bytes(b"new")

    with pytest.raises(StorageError, match=rf"Cannot write {path}: No space left on device"):
        write_to_full_disk()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder with a file that this process may read, not write; root gives its rights up meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        (folder / "file").write_bytes(b"old")
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        yield folder
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.mark.parametrize("name", ["file", "new", "folder/new"])
def test_a_read_only_folder_is_named_and_stays_as_it_was(read_only: Path, name: str) -> None:
    with pytest.raises(StorageError, match=rf"Cannot write {read_only}/{name}: Permission denied.*writable"):
        write_bytes(read_only / name, b"new")
    assert [path.name for path in read_only.iterdir()] == ["file"]
    assert (read_only / "file").read_bytes() == b"old"


def test_a_folder_in_place_of_the_file_is_an_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match=r"taken: Is a directory"):
        write_bytes(tmp_path / "taken", b"new")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_json_is_written_the_same_whatever_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2.5, None], "a": {"d": "ü", "c": True}})
    write_json(tmp_path / "b.json", {"a": {"c": True, "d": "ü"}, "b": [1, 2.5, None]})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")
    assert read_json(tmp_path / "a.json") == {"a": {"c": True, "d": "ü"}, "b": [1, 2.5, None]}


def test_json_that_others_could_not_read_is_not_written(path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert path.read_bytes() == b"old"


def test_reading_json_says_what_to_run_when_it_is_missing_or_broken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json is missing.*dvc repro"):
        read_json(tmp_path / "none.json")
    for content in (b"{", b"", b"\xff\xfe"):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.json .*dvc repro"):
            read_json(tmp_path / "bad.json")


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": 1, "a": [None, True, 0.1, "ü"]}) == '{"a":[null,true,0.1,"ü"],"b":1}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("inf"))


@pytest.mark.parametrize("content", [b"", b"abc", bytes(range(256)) * 1000])
def test_a_digest_is_the_sha256_of_the_content(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "write", [lambda path: write_bytes(path, b"new"), lambda path: write_text(path, "new")]
)
def test_a_symbolic_link_is_replaced_and_its_target_left_alone(
    path: Path, write: Callable[[Path], None]
) -> None:
    """DVC may link an output to its cache: writing through the link would spoil the cache."""
    link = path.parent / "link"
    link.symlink_to(path)
    write(link)
    assert path.read_bytes() == b"old"
    assert link.read_bytes() == b"new"
    assert not link.is_symlink()
