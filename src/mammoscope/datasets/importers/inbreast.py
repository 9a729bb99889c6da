"""INbreast: full-field digital mammograms with contours, BI-RADS and density; pathology is not published.

Layout: the release "INbreast Release 1.0" holds ``AllDICOMs/<image>_<patient>_MG_<L or R>_<CC or ML>_ANON.dcm``,
``AllXML/<image>.xml`` (a property list of OsiriX: ``Images[0].ROIs``, each with ``Name`` and ``Point_px``), and one
table, ``INbreast.csv`` (semicolons) or ``INbreast.xls``, with the columns Laterality, View, File Name, ACR and Bi-Rads.
Source: Moreira et al., Acad Radiol 2012;19:236-248, doi 10.1016/j.acra.2011.09.014, and the readers of the files that
others publish (such as github.com/itzortzis/INBreast_XML_parser), which agree.
"""

from __future__ import annotations

import plistlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

from mammoscope.datasets.importers.dicom_views import dicom_view
from mammoscope.datasets.importers.folders import file_named, files_below, folder_named, found_or_refused, wrong_layout
from mammoscope.datasets.importers.grey import DICOMS, ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion, UnusableError
from mammoscope.datasets.importers.labels import SIDES, birads_of, label_of
from mammoscope.datasets.importers.outlines import Point, Polygons, outline_digest
from mammoscope.datasets.importers.sheets import read_sheet
from mammoscope.datasets.tables import Row

_LAYOUT = "AllDICOMs/*.dcm, AllXML/*.xml, and INbreast.csv or INbreast.xls"
_COLUMNS = {"side": "Laterality", "view": "View", "image": "File Name", "density": "ACR", "birads": "Bi-Rads"}
_VIEWS = {"CC": "CC", "ML": "MLO", "MLO": "MLO", "FB": "FB"}
_FILE = re.compile(r"(?P<image>\d+)_(?P<patient>[0-9a-zA-Z]+)_MG_[LR]_\w+_ANON")
_POINT = re.compile(r"\(\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*\)")
_LEAST_CORNERS = 3
_BENIGN = ("1", "2")
_MOST_XML_BYTES = 64 << 20


class Inbreast:
    """Contours of masses, clusters, asymmetries and distortions. BI-RADS is that of the image.

    Single calcifications, which are marked by a point each, are counted in the report and are not lesions.
    """

    name = "inbreast"
    title = "INbreast"
    licence = "For research, on request to the authors; not to be passed on"
    credit = "Moreira IC, Amaral I, Domingues I, Cardoso A, Cardoso MJ, Cardoso JS. INbreast, 2012, for research use"
    citation = (
        "Moreira IC, Amaral I, Domingues I, Cardoso A, Cardoso MJ, Cardoso JS. INbreast: toward a full-field digital "
        "mammographic database. Acad Radiol 2012;19(2):236-248, doi 10.1016/j.acra.2011.09.014"
    )
    url = "https://doi.org/10.1016/j.acra.2011.09.014"

    def find(self, source: Path) -> Found:
        """List the DICOM files, with the row of the table and the outlines of each.

        Raises
        ------
        DatasetError
            A part of the layout is missing, or the table cannot be used.
        """
        dicoms, outlines = folder_named(source, "AllDICOMs"), folder_named(source, "AllXML")
        table = file_named(source, ("INbreast.csv", "INbreast.xls", "INbreast.xlsx"))
        if dicoms is None or outlines is None or table is None:
            raise wrong_layout(source, f"{_LAYOUT} (Missing: {_missing(dicoms, outlines, table)})")
        rows = {row.text("image"): row for row in read_sheet(table, _COLUMNS) if row.text("image").isdigit()}
        images: list[FoundImage] = []
        problems: list[tuple[str, str]] = []
        points: Counter[str] = Counter()
        for path in files_below(dicoms, DICOMS):
            named = _FILE.fullmatch(path.stem)
            if named is None or named["image"] not in rows:
                reason = "is not named as INbreast names its files" if named is None else f"is not in {table.name}"
                problems.append((path.name, reason))
                continue
            try:
                image, left_out = _image(path, named, rows[named["image"]], outlines / f"{named['image']}.xml")
            except UnusableError as error:
                problems.append((path.stem, str(error)))
                continue
            images.append(image)
            problems += [(image.place, f"an outline named {name!r} is of no kind that is known") for name in left_out]
            points[image.place] += left_out.points
        return found_or_refused(
            source,
            Found(
                tuple(images),
                tuple(problems),
                remarks={"images_with_single_calcifications": tuple(name for name, count in points.items() if count)},
            ),
            _LAYOUT,
        )


class _LeftOut(list[str]):
    """Names of outlines of no known kind, and how many points marked single calcifications."""

    points: int = 0


def _image(path: Path, named: re.Match[str], row: Row, xml: Path) -> tuple[FoundImage, _LeftOut]:
    birads = birads_of(row.text("birads")) or ""
    lesions, left_out = _lesions(xml, birads) if xml.is_file() else ((), _LeftOut())
    is_marked = bool(lesions or left_out or left_out.points)
    # Findings are outlined; an image called suspicious without an outline shows one all the same.
    return FoundImage(
        name=named["image"],
        patient_id=named["patient"],
        read=ShownImage(path),
        source=path.name,
        breast_side=SIDES[row.text("side", ("L", "R"))],
        view=_VIEWS[row.text("view", tuple(_VIEWS))],
        pixel_spacing_mm=dicom_view(path).pixel_spacing_mm,
        breast_density=row.text("density") if row.text("density") in ("1", "2", "3", "4") else "",
        normal=not is_marked and birads[:1] in _BENIGN,
        assessment=birads,
        lesions=lesions,
    ), left_out


def _lesions(xml: Path, birads: str) -> tuple[tuple[FoundLesion, ...], _LeftOut]:
    """The outlines of an image; UnusableError if the file is not such a property list."""
    lesions, left_out = [], _LeftOut()
    for number, roi in enumerate(_rois(xml), start=1):
        name = str(roi.get("Name", ""))
        corners = tuple(_point(text, xml) for text in roi.get("Point_px", ()))
        label = label_of(name) or (label_of("calcification") if name.lower() == "cluster" else None)
        if label is None:
            left_out.append(name)
        elif len(corners) < _LEAST_CORNERS:
            left_out.points += 1
        else:
            outline = Polygons((corners,))
            lesions.append(
                FoundLesion(
                    abnormality_id=str(number),
                    source=f"{xml.name} {outline_digest(outline)}",
                    read_mask=outline,
                    kind=label.kind,
                    assessment=birads,
                )
            )
    return tuple(lesions), left_out


def _rois(xml: Path) -> list[dict[str, Any]]:
    try:
        if xml.stat().st_size > _MOST_XML_BYTES:
            raise ValueError("too large")
        rois = plistlib.loads(xml.read_bytes(), fmt=plistlib.FMT_XML)["Images"][0]["ROIs"]
        return [dict(roi) for roi in rois]
    except Exception as error:  # plistlib raises whatever its parser raises
        raise UnusableError(f"{xml.name} is not a property list of outlines ({type(error).__name__})") from None


def _point(text: Any, xml: Path) -> Point:
    found = _POINT.fullmatch(str(text).strip())
    if found is None:
        raise UnusableError(f"{xml.name} holds a point {str(text)[:40]!r}, expected '(x, y)'")
    return float(found[1]), float(found[2])


def _missing(dicoms: Path | None, outlines: Path | None, table: Path | None) -> str:
    parts = {"AllDICOMs": dicoms, "AllXML": outlines, "INbreast.csv": table}
    return ", ".join(name for name, path in parts.items() if path is None)
