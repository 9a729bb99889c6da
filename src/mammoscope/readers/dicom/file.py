"""Read a DICOM file: header, admission, pixels, display values, and what is known of the view."""

from __future__ import annotations

import warnings
from dataclasses import replace

from mammoscope.mammogram import Mammogram
from mammoscope.readers.dicom.admission import is_for_processing, is_synthesised, modality_of, pixel_layout
from mammoscope.readers.dicom.codecs import decode_pixels
from mammoscope.readers.dicom.exam_identity import exam_key_of
from mammoscope.readers.dicom.header import DicomFile, Header, described, read_header
from mammoscope.readers.dicom.image_kinds import note_image_kind
from mammoscope.readers.dicom.intensity import to_display
from mammoscope.readers.dicom.magnification import magnification_of
from mammoscope.readers.dicom.spacing import pixel_aspect_of, spacing_of
from mammoscope.readers.dicom.unknowns import not_stated
from mammoscope.readers.dicom.views import laterality_of, note_view_modifiers, view_of
from mammoscope.readers.exam_key import ExamSecret
from mammoscope.readers.limits import Limits
from mammoscope.readers.source import Source
from mammoscope.readers.uids import is_standard_uid, kept_uid

_LONGEST_MANUFACTURER = 64  # of a value of type LO (PS3.5 6.2)


def read_dicom(source: Source, limits: Limits, secret: ExamSecret) -> Mammogram:
    """Read the mammogram in a DICOM file. All checks of the header come before pixels are decoded.

    Raises
    ------
    InputError
        The file is not a mammogram, is damaged, or is of a kind that is not supported; names the element and its value.
    """
    with warnings.catch_warnings():
        # pydicom's warnings quote values, which may be those of a patient; ours name only technical elements.
        warnings.simplefilter("ignore")
        return _read(read_header(source), limits, secret)


def _read(file: DicomFile, limits: Limits, secret: ExamSecret) -> Mammogram:
    file = replace(file, header=file.header.of_frame())
    header = file.header
    modality = modality_of(file)
    layout = pixel_layout(file, limits)
    note_image_kind(header)
    stored = decode_pixels(file, layout)
    pixels = to_display(stored, header, for_processing=is_for_processing(header))
    magnification = magnification_of(header)
    laterality, view, spacing = laterality_of(header), view_of(header), spacing_of(header, magnification)
    pixel_aspect = pixel_aspect_of(header, spacing)
    manufacturer = _manufacturer(header)
    note_view_modifiers(header, magnified=magnification.magnified)
    _note_quality(header, is_lossy=stored.lossy)
    if missing := not_stated(laterality, view, spacing):
        header.warnings.append(missing)
    return Mammogram(
        pixels=pixels,
        name=file.source.name,
        sha256=file.source.sha256,
        file_format="DICOM",
        bits=layout.bits_stored,
        laterality=laterality,
        view=view,
        spacing=spacing,
        pixel_aspect=pixel_aspect,
        sop_instance_uid=_instance_uid(header),
        modality=modality,
        manufacturer=manufacturer,
        warnings=tuple(dict.fromkeys(header.warnings)),
        exam_key=exam_key_of(header, secret),
    )


def _instance_uid(header: Header) -> str | None:
    text = header.text("SOPInstanceUID")
    if text is None:
        header.warnings.append(f"{described('SOPInstanceUID')} is missing, so results cannot point to the image.")
        return None
    uid, shown = kept_uid(text), header.shown("SOPInstanceUID")
    if uid is None:
        header.warnings.append(f"{described('SOPInstanceUID')} is {shown}, which is not a valid UID: not used.")
    elif not is_standard_uid(uid):
        header.warnings.append(
            f"{described('SOPInstanceUID')} is {shown}, which is not written as a UID should be: used as it stands."
        )
    return uid


def _manufacturer(header: Header) -> str | None:
    name = header.text("Manufacturer")
    if name is None:
        return None
    # With a damaged length the value includes the elements that follow, among them the patient's.
    if len(name) > _LONGEST_MANUFACTURER or not name.isprintable() or header.names_patient(name):
        header.warnings.append(f"{described('Manufacturer')} is not the name of a manufacturer: not used.")
        return None
    return name


def _note_quality(header: Header, *, is_lossy: bool) -> None:
    """Add a warning for each thing that may make the results worse."""
    notes = header.warnings
    if is_lossy:
        ratio = header.number("LossyImageCompressionRatio", 1, 1e4)
        by = f" (ratio {ratio:g}:1)" if ratio else ""
        notes.append(f"The image was compressed with loss{by}; fine detail may be missing.")
    if header.code("BurnedInAnnotation") == "YES":
        notes.append("The pixels hold burned-in text, which may name the patient and may be taken for tissue.")
    if header.code("BreastImplantPresent") == "YES":
        notes.append("A breast implant is present, which the models do not know.")
    if header.code("QualityControlImage") == "YES":
        notes.append("This is a quality control image, not a patient's.")
    if is_synthesised(header):
        notes.append("The image was synthesised from tomosynthesis, unlike the mammograms that the models know.")
