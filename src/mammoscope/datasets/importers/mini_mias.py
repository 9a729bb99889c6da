"""MIAS and mini-MIAS: scanned films, abnormalities as circles, over 200 normal images.

Layout: ``mdbNNN.pgm`` (1024 x 1024 pixels of 0.2 mm) beside ``Info.txt``, which explains itself and lists an
abnormality a line: number, tissue (F, G, D), class, severity (B, M), x and y of the centre with the origin at the
bottom left, radius in pixels. Films are in pairs of a patient, even numbers left, odd ones right, all of the MLO view.
Source: that file, as published at http://peipa.essex.ac.uk/info/mias.html.

In MIAS itself (pixels of 0.05 mm) a file is called ``mdbNNN``, side (``l``, ``r``) and size (``s``, ``m``, ``l``,
``x``). The origin of its coordinates is not documented: its images are taken with their labels, without places.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mammoscope.datasets.importers.folders import files_below, found_or_refused, wrong_layout
from mammoscope.datasets.importers.grey import RASTERS, ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion
from mammoscope.datasets.pixels import image_size
from mammoscope.errors import DatasetError

_LAYOUT = "mdbNNN.pgm and Info.txt"
_FILE = re.compile(r"mdb(?P<number>\d{3})(?P<side>[lr])?(?P<size>[smlx])?", re.IGNORECASE)
_LINE = re.compile(
    r"mdb(?P<number>\d{3})\w*\s+(?P<tissue>[FGD])\s+(?P<kind>[A-Z]{4})"
    r"(?:\s+(?P<severity>[BM]))?(?:\s+(?P<x>\d+)\s+(?P<y>\d+)\s+(?P<radius>\d+)|\s+(?P<note>\*?NOTE.*))?\s*"
)
_KINDS = {
    "CALC": "calcification", "CIRC": "mass", "SPIC": "mass", "MISC": "mass", "ARCH": "distortion", "ASYM": "asymmetry",
}  # fmt: skip
_MARGINS = {"CIRC": "CIRCUMSCRIBED", "SPIC": "SPICULATED", "MISC": "ILL_DEFINED"}
_SEVERITIES = {"B": "BENIGN", "M": "MALIGNANT"}
_MINI_MM, _FULL_MM = 0.2, 0.05
_LICENCE_FILES = ("licence", "license", "readme")


@dataclass(frozen=True)
class _Entry:
    """A line of the list."""

    kind: str
    severity: str
    circle: tuple[int, int, int] | None


class MiniMias:
    """The films; circles become boxes. Tissue (fatty, glandular, dense) is no BI-RADS density, and is left out."""

    name = "mini-mias"
    title = "mini-MIAS"
    licence = "MIAS licence: for scientific research, not to be passed on"
    credit = (
        "Suckling J et al. The Mammographic Image Analysis Society Digital Mammogram Database, 1994, for research use"
    )
    citation = (
        "Suckling J, Parker J, Dance DR, Astley S, Hutt I, Boggis C, et al. The Mammographic Image Analysis Society "
        "Digital Mammogram Database. Exerpta Medica, International Congress Series 1994;1069:375-378"
    )
    url = "http://peipa.essex.ac.uk/info/mias.html"

    def find(self, source: Path) -> Found:
        """List the films with the lines of the list.

        Raises
        ------
        DatasetError
            There is no list or no film, or a line of the list cannot be used.
        """
        entries = _entries(source)
        images: list[FoundImage] = []
        problems: list[tuple[str, str]] = []
        for path in files_below(source, RASTERS):
            named = _FILE.fullmatch(path.stem)
            if named is None:
                continue
            listed = entries.get(named["number"])
            if listed is None:
                problems.append((path.stem, "is not in the list"))
                continue
            image = _image(path, named, listed)
            images.append(image)
            problems += [(image.place, reason) for reason in _unplaced(listed, is_mini=named["size"] is None)]
        return found_or_refused(source, Found(tuple(images), tuple(problems)), _LAYOUT)


def _entries(source: Path) -> dict[str, list[_Entry]]:
    """The lines of the list by number of the film; no entry for a normal one."""
    for path in files_below(source, {".txt"}) if source.is_dir() else ():
        if path.stem.lower().startswith(_LICENCE_FILES):
            continue
        lines = path.read_text(encoding="latin-1").splitlines()
        starts = [line for line in lines if re.match(r"mdb\d{3}\w*\s+[FGD]\b", line)]
        if starts:
            return _parsed(path, starts)
    raise wrong_layout(source, f"{_LAYOUT} (no text file in it lists films, such as 'mdb001 G CIRC B 535 425 197')")


def _parsed(path: Path, lines: Sequence[str]) -> dict[str, list[_Entry]]:
    entries: dict[str, list[_Entry]] = {}
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None or found["kind"] not in (*_KINDS, "NORM"):
            raise DatasetError(f"{path}: line {line.strip()[:60]!r}, expected such as 'mdb001 G CIRC B 535 425 197'")
        listed = entries.setdefault(found["number"], [])
        if found["kind"] != "NORM":
            circle = (int(found["x"]), int(found["y"]), int(found["radius"])) if found["x"] else None
            listed.append(_Entry(found["kind"], found["severity"] or "", circle))
    return entries


def _image(path: Path, named: re.Match[str], listed: Sequence[_Entry]) -> FoundImage:
    number, is_mini = int(named["number"]), named["size"] is None
    side = {"l": "LEFT", "r": "RIGHT"}.get((named["side"] or "").lower()) or ("RIGHT" if number % 2 else "LEFT")
    millimetres = _MINI_MM if is_mini else _FULL_MM
    placed = [entry for entry in listed if entry.circle] if is_mini else []
    rows = image_size(path)[1] if placed else 0
    worst = {entry.severity for entry in listed}
    return FoundImage(
        name=path.stem.lower(),
        patient_id=f"mias{(number + 1) // 2:03}",
        read=ShownImage(path),
        source=path.name,
        breast_side=side,
        view="MLO",
        pixel_spacing_mm=(millimetres, millimetres),
        normal=not listed,
        pathology=_SEVERITIES["M" if "M" in worst else "B"] if worst & {"M", "B"} else "",
        lesions=tuple(_lesion(index, entry, rows) for index, entry in enumerate(placed, start=1)),
    )


def _lesion(index: int, entry: _Entry, rows: int) -> FoundLesion:
    assert entry.circle is not None
    x, y_from_below, radius = entry.circle
    return FoundLesion(
        abnormality_id=str(index),
        source="Info.txt",
        box=(x - radius, rows - y_from_below - radius, 2 * radius, 2 * radius),
        kind=_KINDS[entry.kind],
        pathology=_SEVERITIES.get(entry.severity, "UNKNOWN"),
        mass_margins=_MARGINS.get(entry.kind, ""),
    )


def _unplaced(listed: Sequence[_Entry], *, is_mini: bool) -> list[str]:
    if not is_mini:
        return ["where its abnormality is, is not documented for this edition; only its label is taken"] * bool(listed)
    return ["an abnormality without a place: it is spread over the image"] * any(not one.circle for one in listed)
