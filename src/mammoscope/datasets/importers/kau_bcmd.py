"""KAU-BCMD, of King Abdulaziz University: digital mammograms in a folder for each BI-RADS category, without places.

Layout: folders whose name is a category (``BIRAD1``, ``Birad3``, ``BIRAD 4``, ``Birad5``; folders below them such as
``b3`` make no difference), with images ``<year>_<patient>_<view>_<side>``: ``2018_BC005421_CC_R.jpg``. Density stands
in the column "Percentage of granular tissue(density)" of ``correctSheetlast.xlsx``, where that is there, by the
column "Image path". Source: Alsolami et al., Data 2021;6:111, doi 10.3390/data6110111, and, for the names of files
and columns, readers that others publish.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path, PureWindowsPath

from mammoscope.datasets.importers.folders import file_named, files_below, found_or_refused
from mammoscope.datasets.importers.grey import DICOMS, RASTERS, ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage
from mammoscope.datasets.importers.labels import SIDES
from mammoscope.datasets.importers.sheets import read_cells

_LAYOUT = "folders BIRAD1, BIRAD3, BIRAD4 and BIRAD5 with images such as 2018_BC005421_CC_R.jpg"
_FOLDER = re.compile(r"bi-?rads?[ _-]?([0-6])", re.IGNORECASE)
_FILE = re.compile(r"(?P<patient>\d{4}_[A-Za-z0-9]+)_(?P<view>CC|MLO)_(?P<side>[LR])", re.IGNORECASE)
_SHEET, _PATH, _DENSITY = "correctSheet", "imagepath", "density"
_DENSITIES = {"0%-25%": "1", "26%-50%": "2", "51%-75%": "3", ">75%": "4"}
_MASKS = re.compile(r"mask", re.IGNORECASE)


class KauBcmd:
    """Images with BI-RADS. BI-RADS 1 is normal; where a finding is on the others is not published with the images."""

    name = "kau-bcmd"
    title = "KAU-BCMD"
    licence = "As its page states; for research"
    credit = "Alsolami AS et al. King Abdulaziz University Breast Cancer Mammogram Dataset (KAU-BCMD), 2021"
    citation = (
        "Alsolami AS, Shalash W, Alsaggaf W, Ashoor S, Refaat H, Elmogy M. King Abdulaziz University Breast Cancer "
        "Mammogram Dataset (KAU-BCMD). Data 2021;6(11):111, doi 10.3390/data6110111"
    )
    url = "https://www.kaggle.com/datasets/asmaasaad/king-abdulaziz-university-mammogram-dataset"

    def find(self, source: Path) -> Found:
        """List the images in the folders of the categories; one that is in two folders is taken as the higher.

        Raises
        ------
        DatasetError
            There is no image in such a folder, or the table of densities cannot be read.
        """
        densities = _densities(file_named(source, ("correctSheetlast.xlsx",)))
        images: dict[str, FoundImage] = {}
        problems: list[tuple[str, str]] = []
        for path in files_below(source, RASTERS | DICOMS):
            parts = path.relative_to(source).parts
            category = next((found[1] for part in reversed(parts[:-1]) if (found := _FOLDER.fullmatch(part))), None)
            if category is None or any(_MASKS.search(part) for part in parts):
                continue
            stem = path.stem.replace(" ", "")
            named = _FILE.fullmatch(stem)
            if named is None:
                problems.append((path.name, "is not named as KAU-BCMD names its files: 2018_BC005421_CC_R"))
                continue
            known = images.get(stem)
            if known is not None:
                problems.append((stem, f"is in the folders of BI-RADS {known.assessment} and {category}"))
            if known is None or known.assessment < category:
                images[stem] = _image(path, "/".join(parts), named, category, densities[stem])
        return found_or_refused(source, Found(tuple(images.values()), tuple(problems)), _LAYOUT)


def _image(path: Path, place: str, named: re.Match[str], category: str, density: str) -> FoundImage:
    return FoundImage(
        name=named[0],
        patient_id=named["patient"],
        read=ShownImage(path),
        source=place,
        breast_side=SIDES[named["side"].upper()],
        view=named["view"].upper(),
        breast_density=density,
        normal=category == "1",
        assessment=category,
    )


def _densities(table: Path | None) -> defaultdict[str, str]:
    """Density by the name of an image."""
    densities: defaultdict[str, str] = defaultdict(str)
    rows = read_cells(table, _SHEET) if table else []
    header = [re.sub(r"\s+", "", cell).lower() for cell in rows[0]] if rows else []
    path = next((place for place, name in enumerate(header) if name == _PATH), None)
    density = next((place for place, name in enumerate(header) if _DENSITY in name), None)
    if path is None or density is None:
        return densities
    for row in rows[1:]:
        stem = PureWindowsPath(row[path]).stem.replace(" ", "")
        densities[stem] = _DENSITIES.get(row[density].replace(" ", ""), "")
    return densities
