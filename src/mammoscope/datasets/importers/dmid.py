"""DMID, of India: scanned and digital mammograms with masks, classes as in MIAS.

Layout: ``TIFF Images/IMG001.tif`` (8 bits), ``ROI Masks/IMG001.tif`` of the same name where there is a finding, and
``Metadata.xlsx``, in which, below some lines of explanation, each row is: image, view and side (``CCLT``, ``CCRT``,
``MLOLT``, ``MLORT``), tissue (F, G, D), class, severity (B, M), x, y, radius. Source: Oza et al., Biomed Eng Lett
2024;14:317-330, doi 10.1007/s13534-023-00339-y; data doi 10.6084/m9.figshare.24522883. The origin of x and y is not
documented, so places are those of the masks; the DICOM edition (``DICOM Images``) is not read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from mammoscope.datasets.importers.folders import by_stem, file_named, files_below, folder_named, wrong_layout
from mammoscope.datasets.importers.grey import MaskFile, ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion
from mammoscope.datasets.importers.sheets import read_cells
from mammoscope.errors import DatasetError

_LAYOUT = "'TIFF Images/IMG001.tif', 'ROI Masks/IMG001.tif' and Metadata.xlsx"
_TIFFS = frozenset({".tif", ".tiff"})
_IMAGE = re.compile(r"IMG\d{3}")
_VIEWS = {"CCLT": ("LEFT", "CC"), "CCRT": ("RIGHT", "CC"), "MLOLT": ("LEFT", "MLO"), "MLORT": ("RIGHT", "MLO")}
_KINDS = {
    "CALC": "calcification", "CLAC": "calcification", "CIRC": "mass", "SPIC": "mass", "MISC": "mass",
    "ARCH": "distortion", "ASYM": "asymmetry",
}  # fmt: skip
_SEVERITIES = {"M": "MALIGNANT", "B": "BENIGN"}


class Dmid:
    """Masks of the images whose rows name one kind; DMID does not say whose its images are, so each is a patient.

    Where the rows of an image name several kinds, which part of the mask is which is not published: such an image has
    its label, and is neither normal nor has a lesion.
    """

    name = "dmid"
    title = "DMID"
    licence = "CC BY 4.0"
    credit = (
        "Oza P et al. Digital mammography dataset (DMID), figshare, 2023, doi 10.6084/m9.figshare.24522883, CC BY 4.0"
    )
    citation = (
        "Oza P, Oza U, Oza R, Sharma P, Patel S, Kumar P, Gohel B. Digital mammography dataset for breast cancer "
        "diagnosis research (DMID) with breast mass segmentation analysis. Biomed Eng Lett 2024;14:317-330, "
        "doi 10.1007/s13534-023-00339-y"
    )
    url = "https://doi.org/10.6084/m9.figshare.24522883"

    def find(self, source: Path) -> Found:
        """List the images in the table that have a file.

        Raises
        ------
        DatasetError
            A part of the layout is missing, or a row of the table cannot be used.
        """
        folders = [folder_named(source, name) for name in ("TIFF Images", "ROI Masks")]
        table = file_named(source, ("Metadata.xlsx", "Metadata.csv"))
        if table is None or folders[0] is None or folders[1] is None:
            raise wrong_layout(source, _LAYOUT)
        images, masks = (by_stem(files_below(folder, _TIFFS)) for folder in folders if folder)
        rows = _rows(table)
        if not rows or not images:
            raise wrong_layout(source, f"{_LAYOUT} (no row of {table.name} and no image is named such as IMG001)")
        found = [_image(images[name], masks.get(name), listed) for name, listed in rows.items() if name in images]
        problems = [(name, "its file is missing in 'TIFF Images'") for name in rows if name not in images]
        problems += [(name, f"is not in {table.name}") for name in images if name not in rows]
        return Found(
            tuple(found),
            tuple(problems),
            remarks={"images_of_several_kinds": tuple(one.name for one in found if _is_unplaced(one))},
        )


def _rows(table: Path) -> dict[str, list[tuple[str, frozenset[str], str]]]:
    """View, kinds and pathology of each row of an image; no kinds: normal."""
    rows: defaultdict[str, list[tuple[str, frozenset[str], str]]] = defaultdict(list)
    for number, cells in enumerate(read_cells(table), start=1):
        if not cells or not _IMAGE.fullmatch(cells[0].upper()):
            continue
        _, view, _, classes, severity, *_ = [*(cell.upper().replace(" ", "") for cell in cells), *[""] * 5]
        words = frozenset(word for word in classes.split("+") if word not in ("", "NORM"))
        if view not in _VIEWS or words - _KINDS.keys():
            value, known = (view, _VIEWS) if view not in _VIEWS else (classes, {**_KINDS, "NORM": ""})
            raise DatasetError(f"{table}, row {number}: {value!r}, expected one of {', '.join(known)}")
        kinds = frozenset(_KINDS[word] for word in words)
        rows[cells[0].upper()].append((view, kinds, _SEVERITIES.get(severity, "")))
    return dict(rows)


def _image(path: Path, mask: Path | None, listed: list[tuple[str, frozenset[str], str]]) -> FoundImage:
    (side, view), kinds = _VIEWS[listed[0][0]], frozenset[str]().union(*(row[1] for row in listed))
    pathologies = {row[2] for row in listed if row[2]}
    pathology = max(pathologies, default="")
    lesions: tuple[FoundLesion, ...] = ()
    if len(kinds) == 1 and mask is not None:
        lesions = (
            FoundLesion(
                abnormality_id="1",
                source=mask.name,
                read_mask=MaskFile(mask),
                is_one_part=False,
                kind=min(kinds),
                pathology=pathology if len(pathologies) == 1 else "UNKNOWN",
            ),
        )
    return FoundImage(
        name=path.stem,
        patient_id=path.stem,
        read=ShownImage(path),
        source=path.name,
        breast_side=side,
        view=view,
        normal=not kinds,
        pathology=pathology if kinds else "",
        lesions=lesions,
    )


def _is_unplaced(image: FoundImage) -> bool:
    return not image.normal and not image.lesions
