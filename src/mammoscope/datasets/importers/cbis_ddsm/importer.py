"""CBIS-DDSM from the published DICOM download: its mass lesions, on the official split.

Source of the data: Sawyer-Lee et al., Curated Breast Imaging Subset of Digital Database for Screening Mammography, The
Cancer Imaging Archive 2016, doi 10.7937/K9/TCIA.2016.7O02S9CY; Lee et al., Sci Data 2017;4:170177.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mammoscope.datasets.importers.cbis_ddsm.files import Folders, find_mask, read_image_file
from mammoscope.datasets.importers.cbis_ddsm.published import published_folds, published_info
from mammoscope.datasets.importers.cbis_ddsm.tables import PATIENTS_TABLE, CaseRow, read_case_tables
from mammoscope.datasets.importers.dicom_pixels import Grey16
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion, FoundMask
from mammoscope.errors import DatasetError


class CbisDdsm:
    """The mass lesions of a CBIS-DDSM download.

    Beside the splits ``patients.csv`` says in which of the mass and calcification tables each patient is. The report
    lists patients in both parts of the official split, over both kinds of lesion.
    """

    name = "cbis-ddsm"
    title = published_info().name
    licence = published_info().licence
    credit = published_info().credit
    citation = published_info().citation

    def find(self, source: Path) -> Found:
        """List what the four official tables name, in the folders that are below ``source``.

        Raises
        ------
        DatasetError
            A table or a column is missing, or no folder of the tables is there.
        """
        tables = read_case_tables(source)
        folders = Folders.below(source, _folder_names(tables.masses))
        if not len(folders):
            example = PurePosixPath(tables.masses[0].image_path).parts[0] if tables.masses else "Mass-Training_…"
            raise DatasetError(f"{source}: none of the folders that the tables name is below it, such as {example}")
        return Found(
            images=tuple(_image(rows, folders) for rows in _by_image(tables.masses)),
            info=published_info(),
            folds={"train": {patient: fold for patient, (_, fold) in published_folds().items()}},
            files={PATIENTS_TABLE: tables.patients_table()},
            remarks={
                "patients_in_mass_and_calc": tables.in_mass_and_calc,
                "patients_in_train_and_test": tables.in_train_and_test,
            },
            counted=("swapped",),
        )


@dataclass(frozen=True)
class _Film:
    """Reads the mammogram that a table names."""

    path: str
    folders: Folders

    def __call__(self) -> Grey16:
        return read_image_file(self.path, self.folders)


@dataclass(frozen=True)
class _Mask:
    """Reads the mask that a table names; in some downloads mask and crop have swapped names."""

    mask_path: str
    crop_path: str
    folders: Folders

    def __call__(self, shape: tuple[int, int]) -> FoundMask:
        found = find_mask(self.mask_path, self.crop_path, self.folders, shape)
        return FoundMask(found.mask, "swapped" if found.swapped else "")


def _by_image(rows: Iterable[CaseRow]) -> list[list[CaseRow]]:
    """The rows of each mammogram file of a view."""
    images: defaultdict[tuple[str, str, str], list[CaseRow]] = defaultdict(list)
    for row in rows:
        images[row.split, row.stem, row.image_path].append(row)
    return list(images.values())


def _image(rows: list[CaseRow], folders: Folders) -> FoundImage:
    first = rows[0]
    return FoundImage(
        name=first.stem,
        patient_id=first.patient_id,
        read=_Film(first.image_path, folders.only(_folder_names(rows))),
        source=first.image_path,
        breast_side=first.breast_side,
        view=first.view,
        split=first.split,
        breast_density=first.breast_density,
        lesions=tuple(
            FoundLesion(
                abnormality_id=row.abnormality_id,
                source=f"{row.mask_path} {row.crop_path}",
                read_mask=_Mask(row.mask_path, row.crop_path, folders.only(_folder_names([row]))),
                pathology=row.pathology,
                assessment=row.assessment,
                subtlety=row.subtlety,
                mass_shape=row.mass_shape,
                mass_margins=row.mass_margins,
            )
            for row in rows
        ),
    )


def _folder_names(rows: Iterable[CaseRow]) -> list[str]:
    paths = (path for row in rows for path in (row.image_path, row.crop_path, row.mask_path))
    return list(dict.fromkeys(PurePosixPath(path).parts[0] for path in paths))
