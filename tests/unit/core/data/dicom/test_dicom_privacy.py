"""No text of a DICOM file is written, printed or logged, whatever is wrong with the file."""

import logging
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from resnet_ops.data.decoding import decode
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.data.sources import read_source
from resnet_ops.errors import DataError
from tests.unit.core.data.dicom.dicom_files import SECRETS, dicom_bytes, with_syntax, write_dicom
from tests.unit.core.data.image_folders import folder_params
from tests.unit.core.makers import make_data_params
from tests.unit.core.mutated_images import mutated

pytest.importorskip("pydicom")
ROOT = Path(__file__).resolve().parents[5]
SECRET = SECRETS[0].encode()  # ten letters
STAGES = """
import logging, sys
logging.basicConfig(level=0)
import pydicom
pydicom.config.debug(True)
from resnet_ops_pipelines import prepare_data, validate_data
from resnet_ops.console import report_errors
with report_errors("prepare_data"):
    prepare_data.main()
    validate_data.main()
"""


def whole_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 4096, (12, 10), np.uint16)
    tags: dict[str, Any] = {
        "BitsStored": 12,
        "RescaleSlope": "1.00000000",
        "RescaleIntercept": "-1024.0000",
        "WindowCenter": "40.0000000",
        "WindowWidth": "400.000000",
        "VOILUTFunction": "LINEAR",
        "SpecificCharacterSet": "ISO_IR 100",
    }
    frames = rng.integers(0, 256, (2, 12, 10), np.uint8)
    return {
        "explicit": dicom_bytes(grey, **tags),
        "implicit": dicom_bytes(grey, implicit=True, **tags),
        "run-lengths": dicom_bytes(grey, run_lengths=True, **tags),
        "frames": dicom_bytes(frames, NumberOfFrames="0000000002"),
        "colour": dicom_bytes(rng.integers(0, 256, (12, 10, 3), np.uint8)),
    }


def text_as(group: int, element: int, kind: bytes) -> Callable[[bytes], bytes]:
    """Makes the explicit element one of this kind, that holds the secret."""

    def change(content: bytes) -> bytes:
        start = content.index(struct.pack("<HH", group, element))
        (length,) = struct.unpack_from("<H", content, start + 6)
        value = kind + struct.pack("<H", len(SECRET)) + SECRET
        return content[: start + 4] + value + content[start + 8 + length :]

    return change


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    f"{name}-{kind.decode()}": text_as(group, element, kind)
    for name, group, element, kinds in [
        ("charset", 0x0008, 0x0005, (b"CS", b"US", b"DS")),
        ("samples", 0x0028, 0x0002, (b"US", b"LO", b"DS")),
        ("photometric", 0x0028, 0x0004, (b"CS", b"DS", b"PN")),
        ("rows", 0x0028, 0x0010, (b"US", b"LO", b"IS", b"DS", b"PN", b"AT")),
        ("columns", 0x0028, 0x0011, (b"IS", b"FD", b"ZZ")),
        ("allocated", 0x0028, 0x0100, (b"LO", b"DS", b"US")),
        ("bits", 0x0028, 0x0101, (b"LO", b"IS")),
        ("high", 0x0028, 0x0102, (b"LO", b"DS")),
        ("sign", 0x0028, 0x0103, (b"LO", b"TM")),
        ("centre", 0x0028, 0x1050, (b"DS", b"LO", b"FD", b"DA")),
        ("width", 0x0028, 0x1051, (b"DS", b"SQ", b"PN")),
        ("intercept", 0x0028, 0x1052, (b"DS", b"LO")),
        ("slope", 0x0028, 0x1053, (b"DS", b"IS")),
        ("function", 0x0028, 0x1056, (b"CS", b"US")),
    ]
    for kind in kinds
} | {
    "syntax": lambda content: with_syntax(content, SECRETS[0]),
    "private syntax": lambda content: with_syntax(content, SECRETS[1]),
    "cut in a name": lambda content: content[: content.rindex(SECRET) + 4],
    "no group of meta": lambda content: content[:132] + content[132:].replace(b"\2\0", b"\4\0"),
}


def shown(content: bytes, folder: Path, name: str = "x.dcm") -> str | None:
    """Why the file is not read, in one line; None where it is."""
    path = folder / name
    path.write_bytes(content)
    params = make_data_params(source="imagefolder", root="x", image_size=8, channels=1)
    found = decode(path, params, 16)
    path.unlink()
    if not isinstance(found, str):
        return None
    assert "\n" not in found
    assert found.startswith("DICOM: it") or "UnidentifiedImageError" in found
    return found


def reveals(text: str | bytes) -> bool:
    content = text if isinstance(text, bytes) else text.encode()
    return any(secret.encode() in content for secret in (*SECRETS, SECRETS[0][:4], SECRETS[0][-4:]))


def test_the_files_hold_the_secrets() -> None:
    for content in whole_files().values():
        assert all(secret.encode() in content for secret in SECRETS)
        assert content.count(SECRET) > 20


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_text_in_a_tag_that_is_read_is_never_quoted(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with quiet_decoders():
        why = shown(HOSTILE[kind](whole_files()["explicit"]), tmp_path)
    assert why is None or not reveals(why)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_damaged_files_are_read_or_named_in_one_line_without_a_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    rng = np.random.default_rng(3)
    whole = whole_files()
    files = list(mutated(1000, 5, whole))
    for name, content in whole.items():
        files += [(f"{name}-{end}", content[:end]) for end in rng.integers(0, len(content), 60).tolist()]
    named = []
    with quiet_decoders():
        for name, content in files:
            named += [why] if (why := shown(content, tmp_path, name)) else []
    assert 300 < len(named) < len(files) - 300
    assert not any(reveals(why) for why in named)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_all_that_are_damaged_are_named_at_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_dicom(tmp_path / folder / "whole.dcm", np.zeros((8, 8), np.uint16))
    for number, damage in enumerate(HOSTILE.values()):
        (tmp_path / "a" / f"{number}.dcm").write_bytes(damage(whole_files()["explicit"]))
    with pytest.raises(
        DataError, match=r"of 46 images cannot be read; replace or remove them:\n  a/"
    ) as caught:
        read_source(folder_params(tmp_path, channels=1))
    assert not reveals(str(caught.value))
    assert caught.value.__context__ is None


def run_stages(project: Path) -> subprocess.CompletedProcess[str]:
    """The first two stages on the project's images, with all that Python and pydicom can say."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"] |= {"source": "imagefolder", "root": "raw", "image_size": 8}
    params["validate"] |= {"min_rows": 10, "min_class_rows": 1}
    (project / "params.yaml").write_text(yaml.safe_dump(params))
    folders = (ROOT / "pipelines", ROOT, ROOT / "registry", ROOT / "monitoring")
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", STAGES],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_nothing_of_a_patient_is_in_what_is_prepared_validated_printed_or_logged(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(80):
        pixels = rng.integers(0, 4096, (12, 10), np.uint16)
        path = tmp_path / "raw" / "ab"[number % 2] / (f"{number}.dcm" if number % 3 else f"{number}")
        write_dicom(path, pixels, run_lengths=number % 5 == 0, BitsStored=12, WindowCenter=[2000, 40])
    done = run_stages(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "80 images are DICOM without a window" in done.stdout + done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file() and "raw" not in path.parts]
    assert {"images.npy", "manifest.csv", "index.html"} <= {path.name for path in written}
    assert [path.name for path in written if reveals(path.read_bytes())] == []
    assert not reveals(done.stdout + done.stderr)

    for number, damage in enumerate(HOSTILE.values()):
        (tmp_path / "raw" / "a" / f"damaged-{number}.dcm").write_bytes(damage(whole_files()["explicit"]))
    done = run_stages(tmp_path)
    assert done.returncode == 1
    assert "images cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert not reveals(done.stdout + done.stderr)
