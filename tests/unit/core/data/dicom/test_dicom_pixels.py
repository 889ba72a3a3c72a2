"""DICOM pixels, against values that were computed by hand from the standard, or by pydicom."""

import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from resnet_ops.data.decoding import Facts, decode
from resnet_ops.data.dicom.image import open_dicom
from resnet_ops.data.opening import quiet_decoders
from resnet_ops.data.params import WindowParams
from tests.unit.core.data.dicom.dicom_files import dicom_bytes, with_syntax, write_dicom
from tests.unit.core.makers import make_data_params

pydicom = pytest.importorskip("pydicom")
CT = WindowParams(center=40, width=400)


def outcome(content: bytes, folder: Path, **changes: Any) -> tuple[np.ndarray, Facts] | str:
    path = folder / "x.dcm"
    path.write_bytes(content)
    settings: dict[str, Any] = {"source": "imagefolder", "root": "x", "image_size": 8, "channels": 1}
    with quiet_decoders():
        return decode(path, make_data_params(**{**settings, **changes}), 16)


def read(content: bytes, folder: Path, **changes: Any) -> tuple[np.ndarray, Facts]:
    found = outcome(content, folder, **changes)
    assert not isinstance(found, str), found
    return found[0].squeeze(), found[1]


def square(values: list[int], kind: Any) -> np.ndarray:
    """(8, 8), the values in its first row, and the last of them everywhere else."""
    filled = np.full(64, values[-1], kind)
    filled[: len(values)] = values
    return filled.reshape(8, 8)


def test_a_ct_is_shown_in_hounsfield_units_through_the_window(tmp_path: Path) -> None:
    stored = square(
        [0, 864, 865, 1063, 1064, 1263, 1264, 4095], np.uint16
    )  # HU: -1024 -160 -159 39 40 239 240 3071
    content = dicom_bytes(stored, BitsStored=12, RescaleSlope=1, RescaleIntercept=-1024)
    pixels, facts = read(content, tmp_path, window=CT)
    # y = ((x - 39.5) / 399 + 0.5) * 255: of -159 0.639, of 39 127.18, of 40 127.82, of 239 255
    assert pixels[0].tolist() == [0, 0, 1, 127, 128, 255, 255, 255]
    assert facts.shown_by == "setting"
    assert facts.size == (8, 8)
    assert not facts.several


def test_signed_values_of_12_bits_keep_their_sign_and_lose_the_bits_above(tmp_path: Path) -> None:
    values = np.array([-2048, -160, -60, 39, 40, 140, 239, 2047])
    stored = (values & 0x0FFF) | 0x5000  # an overlay in the bits above, as old files have it
    content = dicom_bytes(square(stored.tolist(), np.uint16), BitsStored=12, PixelRepresentation=1)
    pixels, _ = read(content, tmp_path, window=CT)
    # y of -60: (-99.5 / 399 + 0.5) * 255 = 63.91; of 140: 191.73
    assert pixels[0].tolist() == [0, 0, 64, 127, 128, 192, 255, 255]


def test_monochrome1_is_shown_inverted(tmp_path: Path) -> None:
    stored = square([0, 860, 1000, 1103, 1104, 1200, 1300, 4095], np.uint16)
    settings: dict[str, Any] = {"BitsStored": 12, "RescaleSlope": 1, "RescaleIntercept": -1024}
    plain, _ = read(dicom_bytes(stored, **settings), tmp_path, window=CT)
    inverted, _ = read(
        dicom_bytes(stored, PhotometricInterpretation="MONOCHROME1", **settings), tmp_path, window=CT
    )
    assert np.array_equal(inverted, 255 - plain)


@pytest.mark.parametrize(
    ("bits", "signed", "slope", "shown"),
    [
        (8, False, 1, {0: 0, 127: 127, 128: 128, 255: 255}),
        (12, False, 1, {0: 0, 2047: 127, 2048: 128, 4095: 255}),
        (12, False, -2, {0: 255, 2047: 128, 2048: 127, 4095: 0}),
        (10, True, 0.25, {-512: 0, -1: 127, 0: 128, 511: 255}),
        (16, True, 1, {-32768: 0, -1: 127, 0: 128, 32767: 255}),
        (16, False, 1, {0: 0, 32767: 127, 32768: 128, 65535: 255}),
    ],
)
def test_without_a_window_all_bits_that_are_stored_are_shown(
    tmp_path: Path, bits: int, signed: bool, slope: float, shown: dict[int, int]
) -> None:
    kind = np.uint8 if bits == 8 else np.int16 if signed else np.uint16
    content = dicom_bytes(
        square(list(shown), kind), BitsStored=bits, RescaleSlope=slope, RescaleIntercept=-100
    )
    pixels, facts = read(content, tmp_path)
    assert pixels[0, :4].tolist() == list(shown.values())
    assert facts.shown_by == "bits"


def test_the_first_window_of_the_file_counts_where_none_is_set(tmp_path: Path) -> None:
    stored = square([-200, -160, -60, 40, 140, 239, 300, 1000], np.int16)
    content = dicom_bytes(stored, WindowCenter=[40, 600], WindowWidth=[400, 1500])
    pixels, facts = read(content, tmp_path)
    assert np.array_equal(pixels, read(content, tmp_path, window=CT)[0])
    assert facts.shown_by == "file"
    other, _ = read(content, tmp_path, window=WindowParams(center=600, width=1500))
    assert not np.array_equal(other, pixels)


@pytest.mark.parametrize(("implicit", "run_lengths"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16])
def test_stored_values_are_those_that_pydicom_reads(
    tmp_path: Path, kind: Any, implicit: bool, run_lengths: bool
) -> None:
    limits = np.iinfo(kind)
    stored = np.random.default_rng(0).integers(limits.min, limits.max, (8, 8), kind, endpoint=True)
    stored[3:6] = 7  # a run
    content = dicom_bytes(stored, run_lengths=run_lengths, implicit=implicit)
    theirs = pydicom.dcmread(BytesIO(content)).pixel_array.astype(float)
    assert np.array_equal(theirs, stored)
    expected = np.rint((theirs - limits.min) / (float(limits.max) - limits.min) * 255)
    assert np.array_equal(read(content, tmp_path)[0], expected)


@pytest.mark.parametrize("run_lengths", [False, True])
@pytest.mark.parametrize("planar", [0, 1])
def test_colours_are_read_in_either_order_and_a_window_leaves_them(
    tmp_path: Path, planar: int, run_lengths: bool
) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8)
    content = dicom_bytes(colours, run_lengths=run_lengths)
    if planar and not run_lengths:
        planes = np.ascontiguousarray(colours.transpose(2, 0, 1)).tobytes()
        content = dicom_bytes(colours, PlanarConfiguration=1, PixelData=planes)
    pixels, facts = read(content, tmp_path, channels=3, window=CT)
    assert np.array_equal(pixels, colours)
    assert facts.shown_by is None


def test_luminance_and_chrominance_become_rgb(tmp_path: Path) -> None:
    full = np.array(
        [[[76, 85, 255], [150, 44, 21], [29, 255, 107]]] * 3, np.uint8
    )  # red, green, blue: C.7.6.3.1.2
    content = dicom_bytes(full.repeat(3, 0).repeat(3, 1)[:8, :8].copy(), PhotometricInterpretation="YBR_FULL")
    pixels, _ = read(content, tmp_path, channels=3)
    assert np.abs(pixels[0, [0, 3, 6]].astype(int) - [[255, 0, 0], [0, 255, 0], [0, 0, 255]]).max() <= 2


@pytest.mark.parametrize("run_lengths", [False, True])
def test_of_several_frames_the_first_is_used_and_it_is_said(tmp_path: Path, run_lengths: bool) -> None:
    frames = np.stack([np.full((8, 8), value, np.uint16) for value in (50_000, 100, 200)])
    pixels, facts = read(dicom_bytes(frames, run_lengths=run_lengths), tmp_path)
    assert (pixels == round(50_000 / 65_535 * 255)).all()
    assert facts.several


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_implicit.dcm",
        "examples_overlay.dcm",
        "examples_rgb_color.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_small_odd.dcm",
    ],
)
def test_files_of_scanners_look_as_pydicom_shows_them(name: str) -> None:
    from pydicom.pixels.processing import apply_modality_lut, apply_windowing

    path = Path(str(pydicom.__file__)).parent / "data" / "test_files" / name
    theirs = pydicom.dcmread(path)
    found = open_dicom(path, None)
    if found.shown_by is None:
        assert np.array_equal(np.asarray(found.image), theirs.pixel_array)
        return
    values = apply_modality_lut(theirs.pixel_array, theirs).astype(float)
    shown = apply_windowing(values, theirs) if found.shown_by == "file" else values
    least = -(1 << theirs.BitsStored - 1) if theirs.PixelRepresentation else 0
    ends = [
        stored * theirs.get("RescaleSlope", 1) for stored in (least, least + (1 << theirs.BitsStored) - 1)
    ]
    expected = (shown - theirs.get("RescaleIntercept", 0) - ends[0]) / (ends[1] - ends[0]) * 255
    assert np.abs(np.asarray(found.image) - expected).max() < 0.5 + 1e-6  # we round


GREY = np.zeros((8, 8), np.uint16)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"PhotometricInterpretation": "PALETTE COLOR"},
            "none of MONOCHROME1, MONOCHROME2, RGB and YBR_FULL",
        ),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "neither grey of 8 to 16 bits"),
        ({"HighBit": 13, "BitsStored": 12}, "do not lie in the lowest bits"),
        ({"RescaleSlope": 0}, "tag RescaleSlope is zero"),
        ({"WindowCenter": 40, "WindowWidth": 0.5}, "narrower than 1: set data.window"),
        (
            {"WindowCenter": 40, "WindowWidth": 9, "VOILUTFunction": "SIGMOID"},
            "not linear: set data.window",
        ),
        ({"VOILUTSequence": []}, "not linear: set data.window"),
        ({"ModalityLUTSequence": []}, "through a table (modality LUT)"),
        ({"SharedFunctionalGroupsSequence": []}, "enhanced DICOM of functional groups"),
        ({"Rows": 0}, "tag Rows is missing or wrong"),
        ({"Rows": 60_000, "Columns": 60_000}, "more than 178,956,970 pixels"),
        ({"Rows": 9}, "pixels are cut off"),
    ],
)
def test_what_is_not_read_is_named_with_its_reason(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = dicom_bytes(GREY, **changes)
    found = outcome(content, tmp_path)
    assert isinstance(found, str)
    assert found.startswith("DICOM: it")
    assert why in found


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.50", "JPEG Baseline"),
        ("1.2.840.10008.1.2.4.70", "JPEG Lossless"),
        ("1.2.840.10008.1.2.4.90", "JPEG 2000"),
        ("1.2.840.10008.1.2.2", "Explicit VR Big Endian"),
        ("1.2.840.10008.1.2.1.99", "compressed as a whole (deflated)"),
        ("1.2.3.4.5.6.7.8", "unknown or missing"),
    ],
)
def test_other_transfer_syntaxes_are_named(tmp_path: Path, syntax: str, name: str) -> None:
    found = outcome(with_syntax(dicom_bytes(GREY), syntax), tmp_path)
    assert isinstance(found, str)
    assert name in found
    assert "1.2." not in found


def test_a_file_without_a_picture_is_named(tmp_path: Path) -> None:
    content = dicom_bytes(GREY)
    start = content.index(struct.pack("<HH", 0x28, 2))  # samples per pixel, before rows
    assert outcome(content[:start], tmp_path) == "DICOM: it holds no picture"


def test_run_lengths_give_no_more_than_the_picture(tmp_path: Path) -> None:
    content = dicom_bytes(GREY[:, :8].astype(np.uint8), run_lengths=True)
    place = content.index(struct.pack("<HHI", 0xFFFE, 0xE000, 4)) + 12  # offsets
    bomb = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x09" * 500_000  # 128 of each 2
    fragment = struct.pack("<HHI", 0xFFFE, 0xE000, len(bomb)) + bomb
    pixels, _ = read(content[:place] + fragment, tmp_path)
    assert (pixels == 9).all()


@pytest.mark.slow
def test_a_header_of_a_million_empty_items_is_not_read_on(tmp_path: Path) -> None:
    content = dicom_bytes(GREY)
    place = content.index(struct.pack("<HH", 0x28, 2))
    items = struct.pack("<HH2sHI", 0x20, 0x9116, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\0\xe0\0\0\0\0" * 1_000_000
    assert (
        outcome(content[:place] + items + content[place:], tmp_path) == "DICOM: its header has more than 1 MB"
    )


def test_a_picture_of_any_shape_is_brought_to_the_size(tmp_path: Path) -> None:
    stored = np.tile(np.array([0, 65_535], np.uint16).repeat(20), (10, 1))
    path = write_dicom(tmp_path / "wide.dcm", stored)
    params = make_data_params(
        source="imagefolder", root="x", image_size=8, channels=3, fit="pad", background=77
    )
    found = decode(path, params, 16)
    assert not isinstance(found, str)
    assert found[1].size == (40, 10)
    assert (found[0][:3] == 77).all()
    assert found[0][4].max() == 255
    assert Image.fromarray(found[0]).mode == "RGB"


@pytest.mark.parametrize(
    ("slope", "why"),
    [(b"nan       ", "tag RescaleSlope is not a number"), (b"9.990e+307", "rescaled values are not numbers")],
)
def test_a_slope_that_gives_no_numbers_is_named_with_any_window(
    tmp_path: Path, slope: bytes, why: str
) -> None:
    content = dicom_bytes(GREY, RescaleSlope="1.25000000").replace(b"1.25000000", slope)
    found = outcome(content, tmp_path, window=WindowParams(center=40, width=400))
    assert isinstance(found, str)
    assert why in found
