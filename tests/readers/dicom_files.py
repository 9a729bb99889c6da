"""Small DICOM mammograms for the tests, written by pydicom and compressed by imagecodecs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.pixels import get_encoder
from pydicom.uid import (
    UID,
    BreastTomosynthesisImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

Encode = Callable[[NDArray[Any]], bytes]

ROWS, COLUMNS = 96, 80
WHITE_12_BIT = 4095


def breast(bits: int = 12) -> NDArray[np.uint16]:
    """A bright half ellipse with texture at the left border of a dark image, using the whole range of ``bits``."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    inside = 1 - ((y - ROWS / 2) / (0.45 * ROWS)) ** 2 - (x / (0.7 * COLUMNS)) ** 2
    texture = 0.05 * np.sin(x / 3.0) * np.cos(y / 4.0)
    shape = np.where(inside > 0, 0.3 + 0.6 * np.sqrt(np.clip(inside, 0, 1)) + texture, 0.02 + 0.01 * np.sin(x / 9.0))
    shape = (shape - shape.min()) / (shape.max() - shape.min())
    return np.rint(shape * ((1 << bits) - 1)).astype(np.uint16)


def shown(stored: NDArray[Any], white: int = WHITE_12_BIT) -> NDArray[np.uint16]:
    """What a viewer shows of unsigned values under a window over their whole range."""
    return np.rint(stored.astype(np.float64) * 65535 / white).astype(np.uint16)


def mammogram(stored: NDArray[Any] | None = None, **changes: Any) -> Dataset:
    """A complete mammogram, left MLO, 12 bits, with a window over the whole range; ``None`` drops an element."""
    stored = breast() if stored is None else stored
    dataset = Dataset()
    elements: dict[str, Any] = {
        "SOPClassUID": DigitalMammographyXRayImageStorageForPresentation,
        "SOPInstanceUID": generate_uid(entropy_srcs=["mammoscope test"]),
        "PatientName": "Secret^Patient",
        "PatientID": "secret-id",
        "Modality": "MG",
        "Manufacturer": "Maker",
        "PresentationIntentType": "FOR PRESENTATION",
        "ImageLaterality": "L",
        "ViewPosition": "MLO",
        "ImagerPixelSpacing": [0.07, 0.07],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": 8 * stored.dtype.itemsize,
        "BitsStored": 8 if stored.dtype.itemsize == 1 else 12,
        "HighBit": 7 if stored.dtype.itemsize == 1 else 11,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "WindowCenter": 128 if stored.dtype.itemsize == 1 else 2048,
        "WindowWidth": 256 if stored.dtype.itemsize == 1 else 4096,
        "PixelData": stored.tobytes(),
    }
    for keyword, value in {**elements, **changes}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    return dataset


def save(
    path: Path, dataset: Dataset, syntax: str = ExplicitVRLittleEndian, compressed: list[bytes] | None = None
) -> Path:
    """Write a DICOM file; ``compressed`` are the fragments of the one frame of an encapsulated syntax."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID") or "1.2.3"
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID") or "1.2.3"
    dataset.file_meta = meta
    if compressed is not None:
        # Fragments of one frame, not frames: the offset table points to the first only.
        joined = encapsulate([compressed[0]], has_bot=True)
        dataset.PixelData = joined + b"".join(encapsulate([part], has_bot=False)[8:] for part in compressed[1:])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    elif syntax == ExplicitVRBigEndian and "PixelData" in dataset and dataset.BitsAllocated == 16:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def jpeg2000(stored: NDArray[Any], **options: Any) -> bytes:
    """A lossless 12-bit JPEG 2000 codestream."""
    settings = {"level": 0, "codecformat": "j2k", "bitspersample": 12, "reversible": True, **options}
    return bytes(imagecodecs.jpeg2k_encode(stored, **settings))


def run_lengths(stored: NDArray[Any]) -> bytes:
    """RLE of grey or RGB pixels."""
    return bytes(
        get_encoder(RLELossless).encode(
            stored.tobytes(),
            encoding_plugin="pydicom",
            rows=stored.shape[0],
            columns=stored.shape[1],
            samples_per_pixel=1 if stored.ndim == 2 else 3,
            photometric_interpretation="MONOCHROME2" if stored.ndim == 2 else "RGB",
            planar_configuration=0,
            bits_allocated=8 * stored.itemsize,
            bits_stored=8 * stored.itemsize,
            pixel_representation=0,
            number_of_frames=1,
        )
    )


def lossless_jpeg(predictor: int, bits: int = 12) -> Encode:
    """Encodes as lossless JPEG."""
    return lambda stored: imagecodecs.jpeg8_encode(stored, lossless=True, predictor=predictor, bitspersample=bits)


def lossy_jpeg(bits: int) -> Encode:
    """Encodes as JPEG with loss."""
    return lambda stored: imagecodecs.jpeg8_encode(stored, 98, bitspersample=bits)


def coded(code: str, scheme: str = "SCT") -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, scheme, "as coded"
    return item


def view(code: str, scheme: str = "SCT", modifiers: tuple[str, ...] = ()) -> list[Dataset]:
    """A View Code Sequence."""
    item = coded(code, scheme)
    if modifiers:
        item.ViewModifierCodeSequence = [coded(modifier, scheme) for modifier in modifiers]
    return [item]


def table(entries: NDArray[Any], first: int, bits: int) -> list[Dataset]:
    """A Modality or VOI LUT Sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(entries) & 0xFFFF, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return [item]


def items(*datasets: dict[str, Any]) -> list[Dataset]:
    """A sequence with these elements in its items."""
    made = []
    for elements in datasets:
        item = Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        made.append(item)
    return made


# A tomosynthesis object says of its frames in sequences what a plain image says of itself.
SHARED_GROUPS = items(
    {
        "FrameAnatomySequence": items({"FrameLaterality": "R"}),
        "PixelMeasuresSequence": items({"PixelSpacing": [0.09, 0.09]}),
        "PixelValueTransformationSequence": items({"RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "US"}),
        "FrameVOILUTSequence": items({"WindowCenter": 1, "WindowWidth": 2}),
    }
)
TOMO_2D: dict[str, Any] = {
    "SOPClassUID": BreastTomosynthesisImageStorage,
    "ImageType": ["DERIVED", "PRIMARY", "TOMOSYNTHESIS", "GENERATED_2D"],
    "NumberOfFrames": 1,
    **dict.fromkeys(("ImageLaterality", "ImagerPixelSpacing", "WindowCenter", "WindowWidth", "ViewPosition")),
    "ViewCodeSequence": view("399162004"),
    "SharedFunctionalGroupsSequence": SHARED_GROUPS,
    "PerFrameFunctionalGroupsSequence": items(
        {"FrameVOILUTSequence": items({"WindowCenter": 2048, "WindowWidth": 4096})}
    ),
}
