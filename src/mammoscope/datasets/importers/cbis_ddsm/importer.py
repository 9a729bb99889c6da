"""CBIS-DDSM as published, or in the common JPEG edition: masses and calcifications, on the official split.

Layout: four tables (``mass_case_description_train_set.csv``, …) whose paths name folders such as
``Mass-Training_P_00001_LEFT_CC/<study UID>/<series UID>``, anywhere below the download; some downloads name folders by
the series UID alone, as the JPEG edition does (``jpeg/<series UID>/1-249.jpg`` beside ``csv/`` with the tables).
Source of the data: Sawyer-Lee et al., Curated Breast Imaging Subset of Digital Database for Screening Mammography, The
Cancer Imaging Archive 2016, doi 10.7937/K9/TCIA.2016.7O02S9CY; Lee et al., Sci Data 2017;4:170177.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mammoscope.datasets.folds import deal
from mammoscope.datasets.importers.cbis_ddsm.files import Folders, find_mask, read_image_file, series_of
from mammoscope.datasets.importers.cbis_ddsm.published import published_folds, published_info
from mammoscope.datasets.importers.cbis_ddsm.tables import (
    PATIENTS_TABLE,
    CaseRow,
    CaseTables,
    read_case_tables,
    table_name,
)
from mammoscope.datasets.importers.dicom_pixels import Grey16
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion, FoundMask, lesion_name
from mammoscope.errors import DatasetError

_KINDS = {"mass": "mass", "calc": "calcification"}


class CbisDdsm:
    """The masses and the calcifications of a CBIS-DDSM download, or the kind whose images it holds.

    Beside the splits ``patients.csv`` says in which of the mass and calcification tables each patient is. The report
    lists patients in both parts of the official split, over both kinds of lesion; the calcifications of a patient whose
    masses are in the other part are left out, so that no patient is in both because of them.
    """

    name = "cbis-ddsm"
    title = published_info().name
    licence = published_info().licence
    credit = published_info().credit
    citation = published_info().citation
    url = "https://www.cancerimagingarchive.net/collection/cbis-ddsm/"

    def find(self, source: Path) -> Found:
        """List what the four official tables name, in the folders that are below ``source``.

        Raises
        ------
        DatasetError
            A table or a column is missing, or no folder of the tables is there.
        """
        tables = read_case_tables(source)
        every = (*tables.masses, *tables.calcifications)
        folders = Folders.below(source, _folder_names(every))
        if not len(folders):
            example = PurePosixPath(every[0].image_path).parts[0] if every else "Mass-Training_…"
            raise DatasetError(f"{source}: none of the folders that the tables name is below it, such as {example}")
        here = [
            rows for rows in (tables.masses, tables.calcifications) if any(n in folders for n in _folder_names(rows))
        ]
        kept, elsewhere = _of_one_part([row for rows in here for row in rows])
        absent = [rows[0].table for rows in (tables.masses, tables.calcifications) if rows and rows not in here]
        return Found(
            images=tuple(_image(rows, folders) for rows in _by_image(kept)),
            problems=tuple((_name(row), "its patient has masses in the other part of the split") for row in elsewhere),
            info=published_info(),
            folds={"train": _folds(tables)},
            files={PATIENTS_TABLE: tables.patients_table()},
            remarks={
                "patients_in_mass_and_calc": tables.in_mass_and_calc,
                "patients_in_train_and_test": tables.in_train_and_test,
                **({"tables_without_images": tuple(_table_names(absent))} if absent else {}),
            },
            counted=("swapped",),
        )


def _table_names(kinds: Iterable[str]) -> list[str]:
    return [table_name(kind, split) for kind in kinds for split in ("train", "test")]


def _of_one_part(rows: Sequence[CaseRow]) -> tuple[list[CaseRow], list[CaseRow]]:
    """The rows, and those of calcifications of a patient whose masses are in the other part alone."""
    parts: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.table == "mass":
            parts[row.patient_id].add(row.split)
    elsewhere = [row for row in rows if parts[row.patient_id] and row.split not in parts[row.patient_id]]
    return [row for row in rows if not parts[row.patient_id] or row.split in parts[row.patient_id]], elsewhere


def _folds(tables: CaseTables) -> dict[str, int]:
    """The published folds, and patients with calcifications alone dealt among them."""
    published = {patient: fold for patient, (_, fold) in published_folds().items()}
    malignant: dict[str, int] = {}
    for row in tables.calcifications:
        if row.split == "train" and row.patient_id not in published:
            strata = malignant.setdefault(row.patient_id, 0)
            malignant[row.patient_id] = max(strata, int(row.pathology == "MALIGNANT"))
    return {**published, **deal(malignant)}


def _name(row: CaseRow) -> str:
    return lesion_name(f"{row.split}/{row.stem}", _lesion_id(row))


def _lesion_id(row: CaseRow) -> str:
    """Of a mass, its number; of a calcification too, told apart, as a film may show both."""
    return row.abnormality_id if row.table == "mass" else f"calc{row.abnormality_id}"


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
                abnormality_id=_lesion_id(row),
                source=f"{row.mask_path} {row.crop_path}",
                read_mask=_Mask(row.mask_path, row.crop_path, folders.only(_folder_names([row]))),
                is_one_part=row.table == "mass",  # a cluster may have several
                kind=_KINDS[row.table],
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
    paths = [path for row in rows for path in (row.image_path, row.crop_path, row.mask_path)]
    names = [PurePosixPath(path).parts[0] for path in paths] + [series for path in paths if (series := series_of(path))]
    return list(dict.fromkeys(names))
