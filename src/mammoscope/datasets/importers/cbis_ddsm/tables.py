"""The four official tables of CBIS-DDSM: one row for each lesion, and the patients of each table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mammoscope.datasets.layout import PATHOLOGIES, SIDES
from mammoscope.errors import DatasetError

SPLITS = ("train", "test")
KINDS = ("mass", "calc")
PATIENTS_TABLE = "patients.csv"

# Column of our table: column of theirs. Tables differ in "breast density" and "breast_density", so both are compared
# without underscores.
_LABELS = {
    "patient_id": "patient id",
    "breast_side": "left or right breast",
    "view": "image view",
    "abnormality_id": "abnormality id",
    "pathology": "pathology",
    "assessment": "assessment",
    "subtlety": "subtlety",
    "breast_density": "breast density",
}
_OF_MASSES = {"mass_shape": "mass shape", "mass_margins": "mass margins"}
_PATHS = {
    "image_path": "image file path",
    "crop_path": "cropped image file path",
    "mask_path": "ROI mask file path",
}
_VIEWS = ("CC", "MLO")


@dataclass(frozen=True)
class CaseRow:
    """One lesion of a table: its labels as published, and where the table says that its files are.

    Attributes
    ----------
    table
        ``"mass"`` or ``"calc"``.
    split
        ``"train"`` or ``"test"``.
    mass_shape, mass_margins
        Empty for calcifications.
    image_path, crop_path, mask_path
        Paths below the download, such as ``Mass-Training_P_00001_LEFT_CC/<study UID>/<series UID>/000000.dcm``.
    """

    table: str
    split: str
    patient_id: str
    breast_side: str
    view: str
    abnormality_id: str
    pathology: str
    assessment: str
    subtlety: str
    breast_density: str
    image_path: str
    crop_path: str
    mask_path: str
    mass_shape: str = ""
    mass_margins: str = ""

    @property
    def stem(self) -> str:
        """The mammogram's name: ``P_00001_LEFT_CC``."""
        return f"{self.patient_id}_{self.breast_side}_{self.view}"


@dataclass(frozen=True)
class CaseTables:
    """The official tables.

    Attributes
    ----------
    masses, calcifications
        The lesions of the tables, training first, in the order of the tables.
    patients
        Patient ids, sorted, with the tables that hold them: ``{"P_00001": {"mass_train", "calc_test"}}``.
    """

    masses: tuple[CaseRow, ...]
    calcifications: tuple[CaseRow, ...]
    patients: dict[str, frozenset[str]]

    @property
    def in_mass_and_calc(self) -> tuple[str, ...]:
        """Patients with a mass and a calcification."""
        return self._patients_of(lambda table: table.split("_")[0])

    @property
    def in_train_and_test(self) -> tuple[str, ...]:
        """Patients in both parts of the official split, over both kinds of lesion."""
        return self._patients_of(lambda table: table.split("_")[1])

    def patients_table(self) -> str:
        """CSV with one row for each patient: 1 for each table that holds it, and its splits over all tables."""
        names = [f"{kind}_{split}" for kind in KINDS for split in SPLITS]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["patient_id", *names, "splits"])
        for patient, tables in self.patients.items():
            splits = [split for split in SPLITS if any(name.endswith(split) for name in tables)]
            writer.writerow([patient, *(int(name in tables) for name in names), " ".join(splits)])
        return stream.getvalue()

    def _patients_of(self, part: Callable[[str], str]) -> tuple[str, ...]:
        return tuple(patient for patient, tables in self.patients.items() if len(set(map(part, tables))) > 1)


def read_case_tables(source: Path) -> CaseTables:
    """Find and read the four tables, anywhere below a folder.

    Raises
    ------
    DatasetError
        A table is missing, exists twice with different content, or cannot be read; a column is missing; a value
        cannot be used. Names the file, and the row and the column.
    """
    if not source.is_dir():
        raise DatasetError(f"{source}: is not a folder")
    paths = {(kind, split): _find(source, table_name(kind, split)) for kind in KINDS for split in SPLITS}
    lesions: dict[str, list[CaseRow]] = {kind: [] for kind in KINDS}
    patients: dict[str, set[str]] = {}
    for (kind, split), path in paths.items():
        wanted = {**_LABELS, **_PATHS, **(_OF_MASSES if kind == "mass" else {})}
        for number, values in enumerate(_read(path, wanted), start=2):
            patient = values["patient_id"]
            if patient != Path(patient).name or not patient:
                raise DatasetError(f"{path}, row {number}: column 'patient_id' is {patient!r}, expected an id")
            patients.setdefault(patient, set()).add(f"{kind}_{split}")
            lesions[kind].append(_case(values, kind, split, f"{path}, row {number}"))
    return CaseTables(
        tuple(lesions["mass"]),
        tuple(lesions["calc"]),
        {patient: frozenset(patients[patient]) for patient in sorted(patients)},
    )


def table_name(kind: str, split: str) -> str:
    """The published file name of a table."""
    return f"{kind}_case_description_{split}_set.csv"


def _find(source: Path, name: str) -> Path:
    found = sorted(source.rglob(name), key=lambda path: (len(path.parts), path))
    if not found:
        raise DatasetError(
            f"{source}: {name} is not below it; download it from the collection's page beside the images"
        )
    if any(path.read_bytes() != found[0].read_bytes() for path in found[1:]):
        raise DatasetError(f"{source}: {name} is below it several times with different content: {found[0]}, {found[1]}")
    return found[0]


def _read(path: Path, wanted: dict[str, str]) -> list[dict[str, str]]:
    """The wanted columns of each row, without the stray blanks and line ends in the cells."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: is not UTF-8 text") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = {_normalised(name): name for name in reader.fieldnames or [] if name}
    missing = [column for column in wanted.values() if _normalised(column) not in header]
    if missing:
        raise DatasetError(f"{path}: has no column {', '.join(map(repr, missing))}; it has {', '.join(header)}")
    names = {ours: header[_normalised(theirs)] for ours, theirs in wanted.items()}
    try:
        return [
            {ours: (row[theirs] or "").strip() for ours, theirs in names.items()} for row in reader if any(row.values())
        ]
    except csv.Error as error:
        raise DatasetError(f"{path}: is not a CSV table ({error})") from None


def _case(values: dict[str, str], table: str, split: str, place: str) -> CaseRow:
    for ours, allowed in (("breast_side", SIDES), ("view", _VIEWS), ("pathology", PATHOLOGIES)):
        if values[ours] not in allowed:
            column = _LABELS[ours]
            raise DatasetError(f"{place}: column {column!r} is {values[ours]!r}, expected one of {', '.join(allowed)}")
    if not values["abnormality_id"].isdigit():
        raise DatasetError(f"{place}: column 'abnormality id' is {values['abnormality_id']!r}, expected a whole number")
    for ours, column in _PATHS.items():
        parts = PurePosixPath(values[ours].replace("\\", "/")).parts
        if len(parts) < 2 or ".." in parts or parts[0] == "/" or ":" in parts[0]:
            raise DatasetError(f"{place}: column {column!r} is {values[ours]!r}, expected a path below the download")
        values[ours] = "/".join(parts)
    return CaseRow(table=table, split=split, **values)


def _normalised(column: str) -> str:
    return " ".join(column.replace("_", " ").lower().split())
