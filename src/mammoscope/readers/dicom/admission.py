"""Check that a DICOM file is one view of one breast; anything else is refused before any pixel is decoded."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import (
    UID,
    BreastProjectionXRayImageStorageForPresentation,
    BreastProjectionXRayImageStorageForProcessing,
    BreastTomosynthesisImageStorage,
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from mammoscope.readers.dicom.header import DicomFile, Header, described
from mammoscope.readers.limits import Limits

_MAMMOGRAPHY = frozenset(
    {DigitalMammographyXRayImageStorageForPresentation, DigitalMammographyXRayImageStorageForProcessing}
)
_SECONDARY_CAPTURE = frozenset(
    {
        SecondaryCaptureImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    }
)
_RADIOGRAPHY = frozenset(
    {
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
    }
)
_TOMOSYNTHESIS = frozenset(
    {
        BreastTomosynthesisImageStorage,
        BreastProjectionXRayImageStorageForPresentation,
        BreastProjectionXRayImageStorageForProcessing,
    }
)
IMAGE_CLASSES = _MAMMOGRAPHY | _SECONDARY_CAPTURE | _RADIOGRAPHY  # what may be a mammogram
FOR_PROCESSING = frozenset({DigitalMammographyXRayImageStorageForProcessing, DigitalXRayImageStorageForProcessing})
_HOLOGIC_TOMOSYNTHESIS = (0x7E01, "HOLOGIC")  # the private block of its Secondary Capture objects
_FILM_MODALITIES = {
    "RG": "radiographic film",
    "CR": "computed radiography",
    "DX": "digital radiography",
    "OT": "other",
    "SC": "secondary capture",
}
_EXPECTED = "expected MG (or a film scan: RG, CR, DX, Secondary Capture)"
_BITS_ALLOCATED = (8, 16)
_SMALLEST_BITS = 8


@dataclass(frozen=True)
class PixelLayout:
    """How the pixels are stored: Image Pixel module, checked.

    Attributes
    ----------
    rows, columns, samples
        Size; samples is 1, or 3 for RGB.
    bits_allocated, bits_stored, high_bit, signed
        Place of a value within its word.
    photometric
        ``"MONOCHROME1"``, ``"MONOCHROME2"``, ``"RGB"``, or a ``"YBR_…"`` that the codec turns into RGB.
    planar
        True if the samples of RGB are stored in planes.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: bool


def modality_of(file: DicomFile) -> str:
    """The modality, if it is one under which mammograms or scans of them are stored.

    Adds warnings if it is not that of a mammogram.

    Raises
    ------
    InputError
        Another modality or SOP class, tomosynthesis, or a DICOMDIR.
    """
    header = file.header
    if header.has("DirectoryRecordSequence"):
        raise header.error("is a DICOMDIR, an index of other files, expected an image")
    sop_class = UID(header.text("SOPClassUID") or "")
    modality = header.code("Modality")
    if file.pixels is None and header.has_private(*_HOLOGIC_TOMOSYNTHESIS):
        raise header.error("holds tomosynthesis in Hologic's private format, expected a 2D mammogram")
    _refuse_sop_class(header, sop_class)
    if modality is None and sop_class in _MAMMOGRAPHY:
        modality = "MG"
        header.warnings.append(f"{described('Modality')} is missing; taken as MG from the SOP class.")
    if modality is None:
        raise header.error(f"{described('Modality')} is missing, {_EXPECTED}")
    if modality != "MG" and modality not in _FILM_MODALITIES:
        raise header.error(f"{described('Modality')} is {header.shown('Modality')}, {_EXPECTED}")
    if modality in ("OT", "SC") and sop_class not in _SECONDARY_CAPTURE:
        raise header.error(
            f"{described('Modality')} is '{modality}' and {described('SOPClassUID')} is not a Secondary Capture, "
            f"{_EXPECTED}"
        )
    if modality != "MG":
        filed = f", {sop_class.name}" if sop_class else ""
        header.warnings.append(
            f"The file is filed as {modality} ({_FILM_MODALITIES[modality]}{filed}), not as a mammogram (MG); "
            "it is taken as the scan of a film."
        )
        part = header.code("BodyPartExamined")
        if part is not None and "BREAST" not in part:
            shown = header.shown("BodyPartExamined")
            header.warnings.append(f"{described('BodyPartExamined')} is {shown}, not BREAST.")
    return modality


def is_synthesised(header: Header) -> bool:
    """Whether the image is a 2D image synthesised from tomosynthesis, by its Image Type."""
    image_type = (header.text("ImageType") or "").upper().split("\\")
    return "GENERATED_2D" in image_type or "TOMO_2D" in image_type


def is_for_processing(header: Header) -> bool:
    """Whether the pixels are a detector's raw values, not meant for display."""
    intent = header.code("PresentationIntentType")
    if intent is not None:
        return intent == "FOR PROCESSING"
    return header.text("SOPClassUID") in FOR_PROCESSING


def pixel_layout(file: DicomFile, limits: Limits) -> PixelLayout:
    """Read and check the Image Pixel module, the size first.

    Raises
    ------
    InputError
        Names the element, its value, and what is allowed.
    """
    header = file.header
    if header.has("NumberOfFrames") and header.required_integer("NumberOfFrames", 1, 1_000_000) != 1:
        shown = header.shown("NumberOfFrames")
        raise header.error(f"{described('NumberOfFrames')} is {shown}, expected one single image")
    rows = header.required_integer("Rows", limits.min_side, limits.max_side)
    columns = header.required_integer("Columns", limits.min_side, limits.max_side)
    if problem := limits.size_problem(rows, columns):
        raise header.error(problem)
    photometric, samples = _colour(header)
    allocated = header.required_integer("BitsAllocated", 1, 64)
    if allocated not in _BITS_ALLOCATED:
        raise header.error(f"{described('BitsAllocated')} is {allocated}, expected 8 or 16")
    stored = header.required_integer("BitsStored", _SMALLEST_BITS, allocated)
    high_bit = stored - 1
    if header.has("HighBit"):
        high_bit = header.required_integer("HighBit", stored - 1, allocated - 1)
    signed = bool(header.required_integer("PixelRepresentation", 0, 1))
    planar = samples == 3 and bool(header.number("PlanarConfiguration", 0, 1))
    return PixelLayout(rows, columns, samples, allocated, stored, high_bit, signed, photometric, planar)


def _colour(header: Header) -> tuple[str, int]:
    """Photometric interpretation and samples a pixel."""
    photometric = header.code("PhotometricInterpretation")
    samples = header.required_integer("SamplesPerPixel", 1, 4) if header.has("SamplesPerPixel") else 1
    grey = photometric in ("MONOCHROME1", "MONOCHROME2") and samples == 1
    if not grey and not (samples == 3 and photometric is not None and photometric.startswith(("RGB", "YBR"))):
        shown = header.shown("PhotometricInterpretation") if photometric else "missing"
        raise header.error(
            f"{described('PhotometricInterpretation')} is {shown} with {samples} samples a pixel, "
            "expected MONOCHROME1 or MONOCHROME2 with 1"
        )
    assert photometric is not None
    return photometric, samples


def _refuse_sop_class(header: Header, sop_class: UID) -> None:
    if sop_class == BreastTomosynthesisImageStorage and is_synthesised(header) and header.value("NumberOfFrames") == 1:
        return
    if sop_class in _TOMOSYNTHESIS:
        raise header.error(
            f"{described('SOPClassUID')} is '{sop_class.name}': tomosynthesis is not supported, expected a 2D mammogram"
        )
    if sop_class and sop_class not in IMAGE_CLASSES:
        modality = header.code("Modality")
        # If the modality already says that this is not a mammogram, name it instead of the class: it says more.
        if modality is None or modality == "MG" or modality in _FILM_MODALITIES:
            raise header.error(
                f"{described('SOPClassUID')} is {header.shown_uid(sop_class)}, expected Digital Mammography X-Ray "
                "Image Storage (or a film scan: Computed Radiography, Digital X-Ray, Secondary Capture)"
            )
