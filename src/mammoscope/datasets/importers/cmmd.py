"""CMMD, the Chinese Mammography Database: biopsy-proven labels of breasts, without places.

Layout: a table ``CMMD_clinicaldata_revision.xlsx`` (or ``.csv``) with the columns ID1, LeftRight, abnormality
and classification, a row a breast; and DICOM files at any depth, which name patient (``D1-0001``), side and view in
their headers. Source: Cui et al., The Cancer Imaging Archive 2021, doi 10.7937/tcia.eqde-4b16.
"""

from __future__ import annotations

from pathlib import Path

from mammoscope.datasets.importers.dicom_views import DicomView, dicom_view
from mammoscope.datasets.importers.folders import file_named, files_below, found_or_refused, wrong_layout
from mammoscope.datasets.importers.grey import DICOMS, ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, UnusableError
from mammoscope.datasets.importers.labels import SIDES
from mammoscope.datasets.importers.sheets import read_sheet

_TABLES = ("CMMD_clinicaldata_revision.csv", "CMMD_clinicaldata_revision.xlsx")
_LAYOUT = "CMMD_clinicaldata_revision.xlsx (or .csv) and DICOM files, such as CMMD/D1-0001/…/1-1.dcm"
_COLUMNS = {"patient": "ID1", "side": "LeftRight", "abnormality": "abnormality", "class": "classification"}
_CLASSES = {"Benign": "BENIGN", "Malignant": "MALIGNANT"}
_ABNORMALITIES = ("mass", "calcification", "both")


class Cmmd:
    """Images with the pathology of their breast. Where a lesion is, is not published, so no image is called normal.

    Whether the other breast of a patient shows a lesion is not known: its images have no label, and count as neither.
    """

    name = "cmmd"
    title = "CMMD"
    licence = "CC BY 4.0"
    credit = (
        "Cui C, Li L, Cai H, et al. The Chinese Mammography Database (CMMD), The Cancer Imaging Archive, 2021, "
        "doi 10.7937/tcia.eqde-4b16, CC BY 4.0"
    )
    citation = (
        "Cui C, Li L, Cai H, Fan Z, Zhang L, Dan T, Li J, Wang J. The Chinese Mammography Database (CMMD): An online "
        "mammography database with biopsy confirmed types for machine diagnosis of breast. The Cancer Imaging Archive, "
        "2021, doi 10.7937/tcia.eqde-4b16; Cai H et al. Comput Math Methods Med 2019;2019:2717454"
    )
    url = "https://www.cancerimagingarchive.net/collection/cmmd/"

    def find(self, source: Path) -> Found:
        """List the DICOM files of the patients in the table.

        Raises
        ------
        DatasetError
            The table or all images are missing, or the table cannot be used.
        """
        table = file_named(source, _TABLES)
        files = files_below(source, DICOMS)
        if table is None or not files:
            raise wrong_layout(source, _LAYOUT)
        labels = _labels(table)
        patients = {patient for patient, _ in labels}
        images: list[FoundImage] = []
        problems: list[tuple[str, str]] = []
        for path in files:
            place = path.relative_to(source).as_posix()
            try:
                view = dicom_view(path)
            except UnusableError as error:
                problems.append((place, str(error)))
                continue
            if view.patient_id in patients and view.breast_side:
                images.append(_image(path, place, view, labels.get((view.patient_id, view.breast_side), "")))
            else:
                reason = "is of a patient that is not in the table" if view.breast_side else "does not state its side"
                problems.append((place, reason))
        return found_or_refused(source, Found(tuple(images), tuple(problems)), _LAYOUT)


def _labels(table: Path) -> dict[tuple[str, str], str]:
    """Pathology by patient and side; malignant where a breast has several rows and one says so."""
    labels: dict[tuple[str, str], str] = {}
    for row in read_sheet(table, _COLUMNS):
        row.text("abnormality", _ABNORMALITIES)
        key = row.text("patient"), SIDES[row.text("side", ("L", "R"))]
        pathology = _CLASSES[row.text("class", tuple(_CLASSES))]
        labels[key] = max(labels.get(key, ""), pathology)
    return labels


def _image(path: Path, place: str, view: DicomView, pathology: str) -> FoundImage:
    return FoundImage(
        name="_".join(part for part in (view.patient_id, view.breast_side, view.view) if part),
        patient_id=view.patient_id,
        read=ShownImage(path),
        source=place,
        breast_side=view.breast_side,
        view=view.view,
        pixel_spacing_mm=view.pixel_spacing_mm,
        normal=False,
        pathology=pathology,
    )
