"""A plain CSV table of boxes, as a spreadsheet or an annotation tool writes it.

Layout: one ``.csv`` with the columns image, x, y, width, height and label, a row a box in pixels (x to the right, y
down, of the upper left corner), and the image files beside it or below it. A row with an empty box is of an image
without a lesion. Optional columns: patient_id, breast_side, view, exam, split, pathology, breast_density, assessment.
Without patient_id the folder in ``image`` stands for the patient, and without a folder the image does. The label says
kind and pathology: ``mass``, ``malignant mass``, ``calcification``, ``benign``, ``normal``. The layout is our own.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mammoscope.datasets.importers.folders import told_of, wrong_layout
from mammoscope.datasets.importers.grey import ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion
from mammoscope.datasets.importers.labels import SIDES, label_of, says_nothing
from mammoscope.datasets.importers.sheets import read_sheet
from mammoscope.datasets.rows import PATHOLOGIES, UNKNOWN
from mammoscope.datasets.tables import Row

_COLUMNS = {name: name for name in ("image", "x", "y", "width", "height", "label")}
_OPTIONAL = {
    name: name
    for name in ("patient_id", "breast_side", "view", "exam", "split", "pathology", "breast_density", "assessment")
}
_BOX = ("x", "y", "width", "height")
_LAYOUT = f"one .csv file with the columns {', '.join(_COLUMNS)}"


class CsvTable:
    """Every image that the table names."""

    name = "csv-table"
    title = "CSV table"
    licence = ""
    credit = ""
    citation = ""
    url = ""

    def find(self, source: Path) -> Found:
        """List the images of the table, which may be given itself or as the folder that holds it alone.

        Raises
        ------
        DatasetError
            There is not one table, a column is missing, or a value cannot be used; names row, column and value.
        """
        tables = [source] if source.is_file() else sorted(source.glob("*.csv")) if source.is_dir() else []
        if len(tables) != 1:
            raise wrong_layout(source, _LAYOUT)
        rows: defaultdict[str, list[Row]] = defaultdict(list)
        for row in read_sheet(tables[0], _COLUMNS, _OPTIONAL):
            rows[row.text("image").replace("\\", "/")].append(row)
        images = []
        for name, listed in rows.items():
            with told_of(listed[0].place):
                images.append(_image(tables[0].parent, name, listed))
        return Found(tuple(images))


def _image(folder: Path, name: str, rows: list[Row]) -> FoundImage:
    relative, first = PurePosixPath(name), rows[0]
    if not relative.name or relative.is_absolute() or ".." in relative.parts or ":" in name:
        raise first.error("image", "a path below the table's folder")
    lesions = [lesion for row in rows if (lesion := _lesion(row)) is not None]
    path = folder / relative
    stem = "_".join(relative.with_suffix("").parts)
    return FoundImage(
        name=stem,
        patient_id=first.text("patient_id") or "_".join(relative.parts[:-1]) or stem,
        read=ShownImage(path if path.is_file() else folder / "images" / relative),
        source=name,
        breast_side=SIDES[first.text("breast_side", ("", *SIDES))],
        view=first.text("view").upper(),
        exam=first.text("exam"),
        split=first.file_name("split"),
        breast_density=first.text("breast_density"),
        normal=None if lesions else True,
        lesions=tuple(replace(lesion, abnormality_id=str(number)) for number, lesion in enumerate(lesions, start=1)),
    )


def _lesion(row: Row) -> FoundLesion | None:
    """None where the row states no box."""
    label = label_of(row.text("label"))
    if not any(row.text(side) for side in _BOX):
        if label is not None:
            raise row.error("x", "a number, as the label names a lesion")
        if not says_nothing(row.text("label")):
            raise row.error("label", "'normal' or nothing, as there is no box")
        return None
    if label is None:
        raise row.error("label", "a word with mass, calcification, asymmetry, distortion, malignant or benign in it")
    x, y, width, height = (row.number(side, -1e5, 1e5) for side in _BOX)
    stated = row.text("pathology", (*PATHOLOGIES, UNKNOWN, ""))
    return FoundLesion(
        abnormality_id="1",
        box=(x, y, width, height),
        kind=label.kind,
        pathology=stated or label.pathology,
        assessment=row.text("assessment"),
    )
