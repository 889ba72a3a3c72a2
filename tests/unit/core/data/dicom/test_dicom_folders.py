"""DICOM files in a data set: found, and what is odd about them said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resnet_ops.data.params import WindowParams
from resnet_ops.data.sources import read_source
from tests.unit.core.data.dicom.dicom_files import write_dicom
from tests.unit.core.data.image_folders import folder_params, write_image

pytest.importorskip("pydicom")


def test_dicom_is_found_with_and_without_an_ending_and_what_is_odd_is_said(tmp_path: Path) -> None:
    grey = np.full((16, 16), 1000, np.uint16)
    write_dicom(tmp_path / "a" / "IM0001", grey, WindowCenter=1000, WindowWidth=4000)
    write_dicom(tmp_path / "a" / "x.DCM", grey, BitsStored=12)
    write_dicom(tmp_path / "b" / "frames.dcm", np.stack([grey, grey + 1]))
    write_dicom(tmp_path / "DICOMDIR", grey)
    write_image(tmp_path / "b" / "x.png")
    params = folder_params(tmp_path, channels=1)
    raw = read_source(params)
    assert raw.paths == ["a/IM0001", "a/x.DCM", "b/frames.dcm", "b/x.png"]
    odd = ("DICOMDIR", "(b/frames.dcm)", "(a/IM0001)", "(a/x.DCM, b/frames.dcm)")
    assert all(name in note for name, note in zip(odd, raw.notes, strict=True))
    assert all("set data.window" in note for note in raw.notes[2:])
    windowed = read_source(replace(params, window=WindowParams(center=1000, width=1)))
    assert (windowed.images[:3] == 255).all()
    (eight_bits,) = windowed.notes[2:]
    assert "(b/x.png)" in eight_bits
