"""DICOM files, made by pydicom's writer, whose every text is a secret."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["SECRETS", "dicom_bytes", "with_syntax", "write_dicom"]

_NAME, _UID, _BIRTH = "ZQXJOHNDOE", "1.2.826.0.1.3680043.8.498.90210", "19570302"
SECRETS = (_NAME, _UID, _BIRTH)
"""What identifies the patient, in every text."""
_TEXTS = (
    "PatientName",
    "PatientID",
    "PatientComments",
    "PatientAddress",
    "OtherPatientNames",
    "InstitutionName",
    "ReferringPhysicianName",
    "StudyDescription",
    "SeriesDescription",
    "ImageComments",
    "AccessionNumber",
    "StudyID",
    "ProtocolName",
    "DeviceSerialNumber",
    "WindowCenterWidthExplanation",
    "RescaleType",
)
_EXPLICIT = "1.2.840.10008.1.2.1"


def dicom_bytes(pixels: np.ndarray, run_lengths: bool = False, implicit: bool = False, **tags: Any) -> bytes:
    """A file of these stored values: (rows, columns) or (frames, rows, columns) grey, or (rows, columns, 3) colour.

    tags: more of them by keyword, or other ones. Values of 16 bits may be signed.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, RLELossless

    found = _texts()
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    bits = pixels.dtype.itemsize * 8
    found.Rows, found.Columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    found.SamplesPerPixel, found.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    found.BitsAllocated = found.BitsStored = bits
    found.HighBit, found.PixelRepresentation = tags.get("BitsStored", bits) - 1, int(pixels.dtype.kind == "i")
    if colour:
        found.PlanarConfiguration = 0
    elif pixels.ndim == 3:
        found.NumberOfFrames = len(pixels)
    found.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    found["PixelData"].VR = "OW" if bits == 16 or implicit else "OB"
    found.file_meta = FileMetaDataset()
    found.file_meta.MediaStorageSOPInstanceUID = _UID
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID
    found.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2" if implicit else _EXPLICIT)
    for name, value in tags.items():
        setattr(found, name, value)
    if run_lengths:
        found.compress(RLELossless, generate_instance_uid=False)
    body = BytesIO()
    found.save_as(body, enforce_file_format=True)
    return _NAME.encode().ljust(128, b"\0") + body.getvalue()[128:]


def write_dicom(path: Path, pixels: np.ndarray, **settings: Any) -> Path:
    """A file of `dicom_bytes`, in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicom_bytes(pixels, **settings))
    return path


def with_syntax(content: bytes, syntax: str) -> bytes:
    """The file, saying that its transfer syntax is this one."""
    old, new = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (_EXPLICIT, syntax))
    return content.replace(struct.pack("<H", len(old)) + old, struct.pack("<H", len(new)) + new, 1)


def _texts() -> Any:
    """A data set with texts, private tags, and sequences with and without a length, in which there are texts, too."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    found, item = Dataset(), Dataset()
    item.RequestedProcedureDescription = item.PatientName = _NAME
    for name in _TEXTS:
        setattr(found, name, _NAME)
    found.SOPInstanceUID = found.StudyInstanceUID = found.SeriesInstanceUID = _UID
    found.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    found.PatientBirthDate = _BIRTH
    found.RequestAttributesSequence = Sequence([item])
    found["RequestAttributesSequence"].is_undefined_length = True
    found.OtherPatientIDsSequence = Sequence([item])
    private = found.private_block(0x0029, _NAME, create=True)
    private.add_new(0x01, "LO", _NAME)
    private.add_new(0x02, "OB", _NAME.encode())
    private.add_new(0x03, "SQ", Sequence([item]))
    return found
