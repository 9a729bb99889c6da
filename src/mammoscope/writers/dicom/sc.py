"""The overlay as a secondary capture, for viewers that show neither reports nor segmentations."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from mammoscope.findings import Analysis
from mammoscope.writers.dicom.identity import result_identity
from mammoscope.writers.dicom.origin import LOSSINESS, Origin
from mammoscope.writers.dicom.result_kind import ResultKind


def secondary_capture(analysis: Analysis, origin: Origin, overlay: NDArray[np.uint8]) -> Dataset:
    """A Secondary Capture Image of ``(h, w, 3) uint8`` RGB.

    It no longer counts as a mammogram: it has no pixel spacing, and modality OT, so that no viewer hangs it as one.
    """
    result = Dataset()
    for module in (_identified(analysis, origin), _derived(analysis, origin), _pixels(overlay)):
        result.update(module)
    origin.pass_on(result)
    result.file_meta = FileMetaDataset()
    result.file_meta.MediaStorageSOPClassUID = result.SOPClassUID
    result.file_meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return result


def _identified(analysis: Analysis, origin: Origin) -> Dataset:
    """General Series, General Equipment, SC Equipment and SOP Common."""
    identity, now = result_identity(analysis, origin, ResultKind.SC), datetime.now()
    module = Dataset()
    module.SOPClassUID, module.SOPInstanceUID = SecondaryCaptureImageStorage, identity["sop_instance_uid"]
    module.InstanceCreationDate = module.ContentDate = now.strftime("%Y%m%d")
    module.InstanceCreationTime = module.ContentTime = now.strftime("%H%M%S")
    module.ContentQualification = identity["content_qualification"]
    module.Modality = "OT"
    module.SeriesInstanceUID, module.SeriesNumber = identity["series_instance_uid"], identity["series_number"]
    module.SeriesDescription, module.InstanceNumber = identity["series_description"], identity["instance_number"]
    module.BodyPartExamined = "BREAST"
    side = analysis.input.laterality
    module.Laterality = side[0] if side else ""
    module.Manufacturer, module.ManufacturerModelName = identity["manufacturer"], identity["manufacturer_model_name"]
    module.SoftwareVersions = identity["software_versions"]
    module.DeviceSerialNumber = identity["device_serial_number"]
    module.ConversionType = "WSD"
    return module


def _derived(analysis: Analysis, origin: Origin) -> Dataset:
    """General Image: what the overlay was drawn from."""
    image, source, module = origin.image, Dataset(), Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    source.PurposeOfReferenceCodeSequence = [
        CodedConcept.from_code(codes.cid7202.SourceImageForImageProcessingOperation)
    ]
    module.ImageType = ["DERIVED", "SECONDARY"]
    module.SourceImageSequence = [source]
    module.DerivationDescription = "Findings drawn over the image"
    module.ImageComments = analysis.notice
    module.PatientOrientation = list(origin.orientation)
    # The image may hold names, and the strips above and below name the file.
    module.BurnedInAnnotation = "YES"
    for keyword in LOSSINESS:
        if keyword in image:
            setattr(module, keyword, image[keyword].value)
    return module


def _pixels(overlay: NDArray[np.uint8]) -> Dataset:
    """Image Pixel."""
    module = Dataset()
    module.SamplesPerPixel, module.PhotometricInterpretation, module.PlanarConfiguration = 3, "RGB", 0
    module.Rows, module.Columns = overlay.shape[:2]
    module.BitsAllocated, module.BitsStored, module.HighBit, module.PixelRepresentation = 8, 8, 7, 0
    content = overlay.tobytes()
    module.add_new("PixelData", "OB", content + b"\0" * (len(content) % 2))
    return module
