"""The sound files that mutations start from: every transfer syntax, every raster format, a header that has it all."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pydicom.uid as uids
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from readers.dicom_files import TOMO_2D, breast, jpeg2000, mammogram, run_lengths, save, table, view

# A patient whose words stand in no other text, so that a single one of them in a message is a leak.
PATIENT = {"PatientName": "Zqxjvw^Kwpfhg", "PatientID": "QJX-77813049", "PatientBirthDate": "19471103"}
PATIENT_WORDS = ("zqxjvw", "kwpfhg", "77813049", "19471103")


@cache
def seeds() -> tuple[bytes, ...]:
    """The files' bytes; each of them is read, or refused for what it is."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.dcm")
        dicom = [
            save(path, dataset, syntax, compressed).read_bytes()
            for dataset, syntax, compressed in (*_native(), *_compressed())
        ]
    bare = dicom[1][144 + int.from_bytes(dicom[1][140:144], "little") :]
    return (*dicom, bare, *_rasters())


def rich_header(**changes: Any) -> dict[str, Any]:
    """Elements of every kind that the reader looks at."""
    private = Dataset()
    private.add_new(0x00191001, "LO", "kept in private")
    return {
        **PATIENT,
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["DERIVED", "PRIMARY", "", "LEFT"],
        "StudyDescription": "Screening",
        "BodyPartExamined": "BREAST",
        "PatientOrientation": ["A", "FL"],
        "ViewCodeSequence": view("399368009", modifiers=("399055006",)),
        "VOILUTSequence": table(np.arange(0, 4096, 16), 0, 12),
        "VOILUTFunction": "SIGMOID",
        "PresentationLUTShape": "IDENTITY",
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "PixelPaddingValue": 0,
        "PixelPaddingRangeLimit": 3,
        "PixelSpacing": [0.065, 0.065],
        "EstimatedRadiographicMagnificationFactor": 1.07,
        "PixelIntensityRelationship": "LOG",
        "PixelIntensityRelationshipSign": 1,
        "PartialView": "NO",
        "BreastImplantPresent": "NO",
        "QualityControlImage": "NO",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "NumberOfFrames": 1,
        "RequestAttributesSequence": [private],
        **changes,
    }


def _native() -> list[tuple[Dataset, str, None]]:
    raw = {"SOPClassUID": uids.DigitalMammographyXRayImageStorageForProcessing, "PresentationIntentType": None}
    signed = (breast().astype(np.int16) - 2048).astype(np.int16)
    colours = np.dstack([breast(8).astype(np.uint8)] * 3)
    film = {"Modality": "RG", "SOPClassUID": uids.SecondaryCaptureImageStorage, "ViewPosition": None}
    rgb = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    return [
        (mammogram(**rich_header()), uids.ExplicitVRLittleEndian, None),
        (mammogram(**rich_header()), uids.ImplicitVRLittleEndian, None),
        (mammogram(**rich_header(VOILUTSequence=None)), uids.ExplicitVRBigEndian, None),
        (mammogram(**rich_header(**TOMO_2D)), uids.ExplicitVRLittleEndian, None),
        (mammogram(**rich_header(**raw, WindowCenter=None)), uids.ExplicitVRLittleEndian, None),
        (mammogram(signed, **rich_header(WindowCenter=0, VOILUTSequence=None)), uids.ExplicitVRLittleEndian, None),
        (
            mammogram(colours[..., 0], **rich_header(**film, **rgb, PixelData=colours.tobytes())),
            uids.ExplicitVRLittleEndian,
            None,
        ),
    ]


def _compressed() -> list[tuple[Dataset, str, list[bytes]]]:
    grey, deep = breast(8).astype(np.uint8), breast()
    streams: list[tuple[str, NDArray[Any], bytes]] = [
        (uids.RLELossless, deep, run_lengths(deep)),
        (uids.JPEGBaseline8Bit, grey, imagecodecs.jpeg8_encode(grey, 90)),
        (uids.JPEGExtended12Bit, deep, imagecodecs.jpeg8_encode(deep, 90, bitspersample=12)),
        (uids.JPEGLossless, deep, imagecodecs.jpeg8_encode(deep, lossless=True, predictor=6, bitspersample=12)),
        (uids.JPEGLosslessSV1, deep, imagecodecs.jpeg8_encode(deep, lossless=True, predictor=1, bitspersample=12)),
        (uids.JPEGLSLossless, deep, imagecodecs.jpegls_encode(deep)),
        (uids.JPEGLSNearLossless, deep, imagecodecs.jpegls_encode(deep, level=3)),
        (uids.JPEG2000Lossless, deep, jpeg2000(deep)),
        (uids.JPEG2000, deep, jpeg2000(deep, level=70, reversible=False)),
        (uids.HTJ2KLossless, deep, imagecodecs.htj2k_encode(deep, reversible=True)),
    ]
    return [(mammogram(stored, **rich_header()), syntax, [bytes(stream)]) for syntax, stored, stream in streams]


def _rasters() -> list[bytes]:
    grey, deep = breast(8).astype(np.uint8), breast(16)
    return [
        cv2.imencode(".png", deep)[1].tobytes(),
        cv2.imencode(".jpg", grey)[1].tobytes(),
        cv2.imencode(".jpg", grey, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes(),
        bytes(imagecodecs.tiff_encode(deep)),
        bytes(imagecodecs.tiff_encode(deep, compression=8)),
        bytes(imagecodecs.tiff_encode(grey, bigtiff=True)),
    ]
