"""VinDr-Mammo: 5,000 exams of digital mammography with boxes, BI-RADS, density and a split.

Layout: ``images/<study_id>/<image_id>.dicom``, ``finding_annotations.csv`` and ``breast-level_annotations.csv``, whose
columns are those of ``_FINDINGS`` and ``_BREASTS`` below. Source: Nguyen et al., VinDr-Mammo, PhysioNet 2022, doi
10.13026/br2v-7517, and Sci Data 2023;10:277, which says that benign findings (BI-RADS 1 and 2) were not marked.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from mammoscope.datasets.importers.folders import file_named, files_below, folder_named, found_or_refused, wrong_layout
from mammoscope.datasets.importers.grey import ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion
from mammoscope.datasets.importers.labels import DENSITIES, SIDES, birads_of, label_of
from mammoscope.datasets.importers.sheets import read_sheet
from mammoscope.datasets.tables import Row

_LAYOUT = "images/<study>/<image>.dicom, finding_annotations.csv and breast-level_annotations.csv"
_BREASTS = {
    "study": "study_id", "image": "image_id", "side": "laterality", "view": "view_position", "rows": "height",
    "columns": "width", "birads": "breast_birads", "density": "breast_density", "split": "split",
}  # fmt: skip
_FINDINGS = {
    "image": "image_id", "categories": "finding_categories", "birads": "finding_birads", "xmin": "xmin",
    "ymin": "ymin", "xmax": "xmax", "ymax": "ymax",
}  # fmt: skip
_SPLITS = {"training": "train", "test": "test"}
_OTHER = ("No Finding", "Suspicious Lymph Node", "Skin Thickening", "Skin Retraction", "Nipple Retraction")
_ORDER = ("mass", "calcification", "distortion", "asymmetry")  # which of several categories of one box is taken


class VindrMammo:
    """Boxes of masses, calcifications, distortions and asymmetries; pathology is not published.

    An image of BI-RADS 1 is normal; so counts one of BI-RADS 2 without a box, as ``lesions.csv`` lists nothing on it.
    """

    name = "vindr-mammo"
    title = "VinDr-Mammo"
    licence = "PhysioNet Credentialed Health Data License 1.5.0"
    credit = "Nguyen HT et al. VinDr-Mammo, PhysioNet, 2022, doi 10.13026/br2v-7517, credentialed access"
    citation = (
        "Nguyen HT, Nguyen HQ, Pham HH, Lam K, Le LT, Dao M, Vu V. VinDr-Mammo: A large-scale benchmark dataset for "
        "computer-aided diagnosis in full-field digital mammography. Sci Data 2023;10:277, "
        "doi 10.1038/s41597-023-02100-7; PhysioNet, doi 10.13026/br2v-7517"
    )
    url = "https://physionet.org/content/vindr-mammo/1.0.0/"

    def find(self, source: Path) -> Found:
        """List the images of the breast-level table with their boxes; those whose file is missing are reported.

        Raises
        ------
        DatasetError
            A part of the layout is missing, or a table cannot be used.
        """
        folder = folder_named(source, "images")
        breasts, findings = (file_named(source, (f"{name}_annotations.csv",)) for name in ("breast-level", "finding"))
        files = {path.stem: path for path in files_below(folder, {".dicom"})} if folder else {}
        if breasts is None or findings is None or not files:
            raise wrong_layout(source, _LAYOUT)
        lesions, others = _lesions(findings)
        images, problems = [], []
        for row in read_sheet(breasts, _BREASTS):
            image = row.file_name("image", required=True)
            if image in files:
                images.append(_image(files[image], row, tuple(lesions[image]), is_other=image in others))
            else:
                problems.append((image, f"the file images/{row.text('study')}/{image}.dicom is missing"))
        return found_or_refused(
            source,
            Found(tuple(images), tuple(problems), remarks={"images_with_other_findings": tuple(sorted(others))}),
            _LAYOUT,
        )


def _lesions(table: Path) -> tuple[defaultdict[str, list[FoundLesion]], set[str]]:
    """The lesions of each image, and the images with a finding of no kind that the layout has."""
    lesions: defaultdict[str, list[FoundLesion]] = defaultdict(list)
    others: set[str] = set()
    for row in read_sheet(table, _FINDINGS):
        image, categories = row.text("image"), _categories(row)
        known = {label.kind for name in categories if name not in _OTHER and (label := label_of(name))}
        if not known:
            others |= {image} if set(categories) != {"No Finding"} else set()
            continue
        left, top, right, bottom = (row.number(side, -1e5, 1e5) for side in ("xmin", "ymin", "xmax", "ymax"))
        lesions[image].append(
            FoundLesion(
                abnormality_id=str(len(lesions[image]) + 1),
                source="finding_annotations.csv",
                box=(left, top, right - left, bottom - top),
                kind=next(kind for kind in _ORDER if kind in known),
                assessment=birads_of(row.text("birads")) or "",
            )
        )
    return lesions, others


def _categories(row: Row) -> list[str]:
    """The cell holds a list as Python writes it: ``['Mass']``."""
    try:
        categories = ast.literal_eval(row.text("categories"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        categories = None
    if not isinstance(categories, list) or not all(isinstance(name, str) for name in categories):
        raise row.error("categories", "a list such as ['Mass']")
    if unknown := [name for name in categories if name not in _OTHER and label_of(name) is None]:
        raise row.error("categories", f"known findings; {unknown[0]!r} is none")
    return categories


def _image(path: Path, row: Row, lesions: tuple[FoundLesion, ...], *, is_other: bool) -> FoundImage:
    birads = birads_of(row.text("birads"))
    if birads is None:
        raise row.error("birads", "a category such as 'BI-RADS 2'")
    is_benign = birads in ("1", "2") and not is_other
    return FoundImage(
        name=path.stem,
        patient_id=row.text("study"),
        read=ShownImage(path, (int(row.number("rows", 1, 1e5)), int(row.number("columns", 1, 1e5)))),
        source=f"images/{row.text('study')}/{path.name}",
        breast_side=SIDES[row.text("side", ("L", "R"))],
        view=row.text("view"),
        exam=row.text("study"),
        split=_SPLITS[row.text("split", tuple(_SPLITS))],
        breast_density=DENSITIES.get(row.text("density")[-1:].upper(), ""),
        normal=False if lesions or not is_benign else (True if birads == "1" else None),
        assessment=birads,
        lesions=lesions,
    )
