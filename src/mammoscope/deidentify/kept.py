"""The elements that a de-identified mammogram keeps. All others are dropped, at any depth."""

from __future__ import annotations

# Written empty, because a mammogram must have them (DICOM PS3.3, type 2).
EMPTIED = (
    *("AccessionNumber", "PatientBirthDate", "PatientSex", "ReferringPhysicianName", "SeriesNumber", "StudyDate"),
    *("StudyID", "StudyTime"),
)

# Kept with another value.
REPLACED_UIDS = (
    "FrameOfReferenceUID",
    "ReferencedSOPInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
)
# A mammogram must have them (type 1): made up where they are missing, or are none.
REQUIRED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
SHIFTED = (
    *("AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "ContentDate", "ContentTime"),
    *("SeriesDate", "SeriesTime", "StudyDate", "StudyTime"),
)

# Kept unchanged if they are numbers, codes or UIDs of classes, as their element's type requires.
_IDENTITY_OF_THE_IMAGE = (
    *("AcquisitionNumber", "ImageType", "InstanceNumber", "Modality", "PresentationIntentType"),
    *("ReferencedSOPClassUID", "SeriesNumber", "SOPClassUID", "SpatialLocationsPreserved"),
)
_PIXELS = (
    *("BitsAllocated", "BitsStored", "Columns", "HighBit", "LargestImagePixelValue", "NumberOfFrames"),
    *("PhotometricInterpretation", "PixelAspectRatio", "PixelPaddingRangeLimit", "PixelPaddingValue"),
    *("PixelRepresentation", "PlanarConfiguration", "Rows", "SamplesPerPixel", "SmallestImagePixelValue"),
    *("BurnedInAnnotation", "ConversionType", "LossyImageCompression", "LossyImageCompressionMethod"),
    *("LossyImageCompressionRatio", "QualityControlImage"),
)
_DISPLAY = (
    *("LUTData", "LUTDescriptor", "ModalityLUTType", "PixelIntensityRelationship", "PixelIntensityRelationshipSign"),
    *("PresentationLUTShape", "RescaleIntercept", "RescaleSlope", "RescaleType", "VOILUTFunction"),
    *("WindowCenter", "WindowWidth"),
)
_SPACING = (
    *("DetectorElementPhysicalSize", "DetectorElementSpacing", "DistanceSourceToDetector", "DistanceSourceToPatient"),
    *("EstimatedRadiographicMagnificationFactor", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *("PixelSpacing", "PixelSpacingCalibrationType"),
)
_BREAST = (
    *("BodyPartExamined", "BreastImplantPresent", "ImageLaterality", "Laterality", "OrganExposed", "PartialView"),
    *("PatientOrientation", "ViewPosition"),
)
_EXPOSURE = (
    *("AnodeTargetMaterial", "BodyPartThickness", "CollimatorShape", "CompressionForce", "DistanceSourceToEntrance"),
    *("EntranceDose", "EntranceDoseInmGy", "Exposure", "ExposureControlMode", "ExposureInuAs", "ExposureStatus"),
    *("ExposureTime", "ExposureTimeInuS", "FilterMaterial", "FilterThicknessMaximum", "FilterThicknessMinimum"),
    *("FocalSpots", "Grid", "HalfValueLayer", "KVP", "OrganDose", "PositionerPrimaryAngle", "PositionerSecondaryAngle"),
    *("PositionerType", "RelativeXRayExposure", "XRayTubeCurrent", "XRayTubeCurrentInuA"),
)
_DETECTOR = (
    *("DetectorActiveDimensions", "DetectorActiveOrigin", "DetectorActiveShape", "DetectorBinning"),
    *("DetectorConditionsNominalFlag", "DetectorConfiguration", "DetectorTemperature", "DetectorType"),
    *("FieldOfViewDimensions", "FieldOfViewHorizontalFlip", "FieldOfViewOrigin", "FieldOfViewRotation"),
    *("FieldOfViewShape", "Sensitivity"),
)
KEPT = frozenset(
    (
        *_IDENTITY_OF_THE_IMAGE,
        *_PIXELS,
        *_DISPLAY,
        *_SPACING,
        *_BREAST,
        *_EXPOSURE,
        *_DETECTOR,
        *REPLACED_UIDS,
        *SHIFTED,
    )
)

# Short texts that are kept if they do not name the patient.
KEPT_TEXTS = frozenset(
    {"CodeMeaning", "CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "Manufacturer"}
    | {"ManufacturerModelName"}
)

# What Position Reference Indicator may say (PS3.3 C.7.4.1.1.2); any other text becomes an empty value.
POSITION_REFERENCES = frozenset(
    {"EXTERNAL AUDITORY MEATUS", "ILIAC CREST", "LOWER COASTAL MARGIN", "ORBITAL-MEDIAL", "STERNAL NOTCH"}
    | {"SYMPHYSIS PUBIS", "XIPHOID"}
)

# Kept only in the items of sequences.
ONLY_IN_ITEMS = frozenset(
    {"CodeMeaning", "CodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "LUTData", "LUTDescriptor"}
    | {"ModalityLUTType", "ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "SpatialLocationsPreserved"}
)

# Sequences whose items are kept by the same rules.
KEPT_SEQUENCES = frozenset(
    {"AnatomicRegionModifierSequence", "AnatomicRegionSequence", "ModalityLUTSequence", "PartialViewCodeSequence"}
    | {"PurposeOfReferenceCodeSequence", "ReferencedImageSequence", "SourceImageSequence", "ViewCodeSequence"}
    | {"ViewModifierCodeSequence", "VOILUTSequence"}
)
