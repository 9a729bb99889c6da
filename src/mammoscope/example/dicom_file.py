"""A phantom view as a DICOM file: Digital Mammography X-Ray Image, for presentation (PS3.3 A.27)."""

from __future__ import annotations

import uuid
from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian

from mammoscope import __version__
from mammoscope.example.phantom import PhantomView
from mammoscope.example.settings import DEFAULTS, Look, PhantomSettings
from mammoscope.mammogram import Laterality

# Part of every UID: raise it when the same seed gives other pixels.
GENERATOR_VERSION = 2

_DATE, _DATE_BEFORE, _TIME = "20000101", "19990101", "120000"
_TEXT = "SYNTHETIC PHANTOM"
_BITS = 12
_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
# Rows run towards the nipple or away from it; columns towards the other breast (CC) or the feet (MLO).
_ORIENTATION = {
    ("CC", Laterality.RIGHT): ["P", "L"],
    ("CC", Laterality.LEFT): ["A", "R"],
    ("MLO", Laterality.RIGHT): ["P", "FL"],
    ("MLO", Laterality.LEFT): ["A", "FR"],
}


def phantom_dicom(
    view: PhantomView, seed: int, number: int, settings: PhantomSettings = DEFAULTS, *, before: bool = False
) -> bytes:
    """The bytes of a DICOM file, explicit VR little endian.

    Parameters
    ----------
    view
        What to store.
    seed
        Of the exam; with the size of the image and the settings it fixes the UIDs.
    number
        Place of the view in the exam, from 1.
    settings
        With which it was drawn.
    before
        Whether it is of the exam of the year before.
    """
    parts = [f"{view.pixels.shape[0]}x{view.pixels.shape[1]}", *settings.stated(), *(["before"] if before else [])]
    exam = " ".join(parts)
    dataset = Dataset()
    for module in (
        _patient_and_study(seed, exam),
        _series_and_equipment(view, seed, exam, number),
        _image(view, seed, exam, number),
        _pixels(view),
        _mammography(view, settings),
    ):
        dataset.update(module)
    if before:
        for name in ("StudyDate", "SeriesDate", "ContentDate", "AcquisitionDate"):
            setattr(dataset, name, _DATE_BEFORE)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _uid(*parts: object) -> UID:
    """A UID that the same parts always give (PS3.5 B.2: the integer of a UUID under 2.25)."""
    text = " ".join(str(part) for part in ("mammoscope phantom", GENERATOR_VERSION, *parts))
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, text).int}")


def _patient_and_study(seed: int, exam: str) -> Dataset:
    module = Dataset()
    module.PatientName = "SYNTHETIC^PHANTOM"
    module.PatientID = f"SYNTHETIC-PHANTOM-{seed}"
    module.PatientBirthDate = ""
    module.PatientSex = "O"
    module.PatientComments = f"{_TEXT}: no patient"
    module.StudyInstanceUID = _uid("study", seed, exam)
    module.StudyDate, module.StudyTime = _DATE, _TIME
    module.StudyDescription = f"{_TEXT} four-view exam"
    module.ReferringPhysicianName = ""
    module.StudyID = str(seed)
    module.AccessionNumber = ""
    return module


def _series_and_equipment(view: PhantomView, seed: int, exam: str, number: int) -> Dataset:
    module = Dataset()
    module.Modality = "MG"
    module.PresentationIntentType = "FOR PRESENTATION"
    module.SeriesInstanceUID = _uid("series", seed, exam, number)
    module.SeriesNumber = number
    module.SeriesDate, module.SeriesTime = _DATE, _TIME
    module.SeriesDescription = f"{_TEXT} {view.laterality[0]} {view.view}"
    module.BodyPartExamined = "BREAST"
    module.Manufacturer = "mammoscope"
    module.ManufacturerModelName = "phantom generator"
    module.SoftwareVersions = __version__
    return module


def _image(view: PhantomView, seed: int, exam: str, number: int) -> Dataset:
    module = Dataset()
    module.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    module.SOPInstanceUID = _uid("image", seed, exam, number)
    module.InstanceNumber = 1
    module.ContentDate, module.ContentTime = _DATE, _TIME
    module.AcquisitionDate, module.AcquisitionTime = _DATE, _TIME
    module.ImageType = ["DERIVED", "PRIMARY", ""]
    module.DerivationDescription = f"{_TEXT} drawn by a program"
    module.ImageComments = f"{_TEXT}: no patient, not for diagnosis"
    module.PatientOrientation = _ORIENTATION[view.view, view.laterality]
    module.BurnedInAnnotation = "YES"
    module.QualityControlImage = "YES"
    module.LossyImageCompression = "00"
    module.AcquisitionContextSequence = []
    return module


def _pixels(view: PhantomView) -> Dataset:
    module = Dataset()
    module.SamplesPerPixel = 1
    module.PhotometricInterpretation = "MONOCHROME2"
    module.Rows, module.Columns = view.pixels.shape
    module.BitsAllocated, module.BitsStored, module.HighBit = 16, _BITS, _BITS - 1
    module.PixelRepresentation = 0
    module.PixelIntensityRelationship = "LOG"
    module.PixelIntensityRelationshipSign = 1
    module.RescaleIntercept, module.RescaleSlope, module.RescaleType = 0, 1, "US"
    module.PresentationLUTShape = "IDENTITY"
    module.WindowCenter, module.WindowWidth = 1 << (_BITS - 1), 1 << _BITS
    module.WindowCenterWidthExplanation = "FULL RANGE"
    module.add_new("PixelData", "OW", view.pixels.astype("<u2").tobytes())
    return module


def _mammography(view: PhantomView, settings: PhantomSettings) -> Dataset:
    spacing = round(view.spacing_mm, 9)
    module = Dataset()
    module.ImageLaterality = view.laterality[0]
    module.OrganExposed = "BREAST"
    module.AnatomicRegionSequence = [_code("76752008", "Breast")]
    module.PositionerType = "MAMMOGRAPHIC"
    module.BreastImplantPresent = "NO"
    module.PartialView = "NO"
    module.ViewPosition = view.view
    module.ViewCodeSequence = [_code(*_VIEW_CODES[view.view])]
    module.ViewCodeSequence[0].ViewModifierCodeSequence = []
    module.DetectorType = "FILM" if settings.look is Look.FILM else "DIRECT"
    module.ImagerPixelSpacing = [spacing, spacing]
    return module


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
