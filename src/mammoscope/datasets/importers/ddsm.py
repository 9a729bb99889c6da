"""DDSM and mini-DDSM: scanned films with outlines, pathology and BI-RADS; normal cases.

Layout: a folder a case with its ``.ics`` file (``B-3077-1.ics``), which names the films
(``LEFT_CC LINES 4606 PIXELS_PER_LINE 2221 BITS_PER_PIXEL 12 RESOLUTION 50 OVERLAY``), an image a film
(``B_3077_1.LEFT_CC`` and an extension), and ``B_3077_1.LEFT_CC.OVERLAY`` where something was outlined. Source:
http://www.eng.usf.edu/cvprg/mammography/database.html, "Description of a case"; Heath et al., The Digital Database for
Screening Mammography, IWDM 2001. An outline starts at column and row, then steps in eight directions, 0 up, clockwise.

The images of DDSM are ``.LJPEG``, which no usual library reads: they are converted to PNG, PGM or TIFF first, beside
the originals (``B_3077_1.LEFT_CC.LJPEG.png`` or ``B_3077_1.LEFT_CC.png``). Those of mini-DDSM (Lekamlage et al. 2020)
are PNG or JPEG of fewer pixels, with masks ``…_Mask.jpg`` beside them, which are not read: the overlays say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mammoscope.datasets.importers.folders import files_below, found_or_refused, wrong_layout
from mammoscope.datasets.importers.grey import RASTERS, ShownImage
from mammoscope.datasets.importers.importer import Found, FoundImage, FoundLesion, UnusableError
from mammoscope.datasets.importers.outlines import ChainCode, outline_digest
from mammoscope.datasets.pixels import image_size
from mammoscope.datasets.rows import PATHOLOGIES
from mammoscope.errors import DatasetError

_LAYOUT = ".ics files, such as B-3077-1.ics, with images such as B_3077_1.LEFT_CC.png beside them"
_FILM = re.compile(
    r"(?P<side>LEFT|RIGHT)_(?P<view>CC|MLO)\s+LINES\s+(?P<rows>\d+)\s+PIXELS_PER_LINE\s+(?P<columns>\d+)"
    r"(?:\s+BITS_PER_PIXEL\s+\d+)?(?:\s+RESOLUTION\s+(?P<microns>[\d.]+))?\s+(?P<overlay>OVERLAY|NON_OVERLAY)"
)
_KINDS = {"MASS": "mass", "CALCIFICATION": "calcification"}
_SHAPE, _MARGINS = re.compile(r"SHAPE\s+(\S+)"), re.compile(r"MARGINS\s+(\S+)")


@dataclass(frozen=True)
class _Film:
    """A line of an ``.ics`` file; ``stem`` is how its files are called: ``B_3077_1.LEFT_CC``."""

    stem: str
    side: str
    view: str
    size: tuple[int, int]
    millimetres: float | None
    has_overlay: bool


class Ddsm:
    """The films of each case. An abnormality that is neither mass nor calcification is reported and not a lesion."""

    name = "ddsm"
    title = "DDSM"
    licence = "Free for research, with the credit below"
    credit = "Heath M, Bowyer K, Kopans D, Moore R, Kegelmeyer WP. The Digital Database for Screening Mammography, 2001"
    citation = (
        "Heath M, Bowyer K, Kopans D, Moore R, Kegelmeyer WP. The Digital Database for Screening Mammography. In: "
        "Yaffe MJ, ed. Proceedings of the Fifth International Workshop on Digital Mammography. Medical Physics "
        "Publishing, 2001:212-218. Mini-DDSM: Lekamlage CD, Afzal F, Westerberg E, Cheddad A. Mini-DDSM: "
        "mammography-based automatic age estimation. DMIP 2020"
    )
    url = "http://www.eng.usf.edu/cvprg/mammography/database.html; mini-DDSM: https://ardisdataset.github.io/MiniDDSM/"

    def find(self, source: Path) -> Found:
        """List the films that the ``.ics`` files name.

        Raises
        ------
        DatasetError
            There is no ``.ics`` file, or none of their images.
        """
        cases = files_below(source, {".ics"})
        if not cases:
            raise wrong_layout(source, _LAYOUT)
        images: list[FoundImage] = []
        problems: list[tuple[str, str]] = []
        for case in cases:
            for film, density in _films(case):
                try:
                    image, left_out = _image(case, film, density)
                except UnusableError as error:
                    problems.append((film.stem, str(error)))
                    continue
                images.append(image)
                problems += [(film.stem, reason) for reason in left_out]
        return found_or_refused(source, Found(tuple(images), tuple(problems)), f"{_LAYOUT} ({_first(problems)})")


def _first(problems: Sequence[tuple[str, str]]) -> str:
    return "; ".join(": ".join(problem) for problem in problems[:1])


def _films(case: Path) -> Iterator[tuple[_Film, str]]:
    """The films of a case, each with the density of the breast."""
    text = case.read_text(encoding="latin-1")
    density = re.search(r"^DENSITY\s+([1-4])\b", text, re.MULTILINE)
    for found in re.finditer(_FILM, text):
        microns = float(found["microns"]) if found["microns"] else None
        film = _Film(
            stem=f"{case.stem.replace('-', '_')}.{found['side']}_{found['view']}",
            side=found["side"],
            view=found["view"],
            size=(int(found["rows"]), int(found["columns"])),
            millimetres=microns / 1000 if microns else None,
            has_overlay=found["overlay"] == "OVERLAY",
        )
        yield film, density[1] if density else ""


def _image(case: Path, film: _Film, density: str) -> tuple[FoundImage, list[str]]:
    path = _file_of(case.parent, film)
    lesions: tuple[FoundLesion, ...] = ()
    left_out: list[str] = []
    if film.has_overlay:
        overlay = case.parent / f"{film.stem}.OVERLAY"
        if not overlay.is_file():
            raise UnusableError(f"its outlines, {overlay.name}, are missing")
        lesions, left_out = _lesions(overlay, film)
    reduced = _is_reduced(path, film)
    return FoundImage(
        name=film.stem.replace(".", "_"),
        patient_id=case.stem.replace("-", "_"),
        read=ShownImage(path),
        source=path.name,
        breast_side=film.side,
        view=film.view,
        pixel_spacing_mm=None if film.millimetres is None or reduced else (film.millimetres, film.millimetres),
        breast_density=density,
        normal=not film.has_overlay,
        lesions=lesions,
    ), left_out


def _is_reduced(path: Path, film: _Film) -> bool:
    """Whether the file has another size than the film as digitised, as in mini-DDSM: then the spacing is not known."""
    try:
        return image_size(path) != film.size[::-1]
    except DatasetError:
        return True  # said when the file is read


def _file_of(folder: Path, film: _Film) -> Path:
    """The image of a film; masks beside it, ``…_Mask.jpg``, have other names."""
    wanted = {film.stem.lower(), f"{film.stem}.LJPEG".lower()}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in RASTERS and path.stem.lower() in wanted:
            return path
    if (folder / f"{film.stem}.LJPEG").is_file():
        raise UnusableError(f"{film.stem}.LJPEG is not read: convert it to PNG, PGM or TIFF beside it")
    raise UnusableError("its image is missing")


def _lesions(overlay: Path, film: _Film) -> tuple[tuple[FoundLesion, ...], list[str]]:
    """The abnormalities of an ``.OVERLAY`` file, each with its first outline, the boundary."""
    text = overlay.read_text(encoding="latin-1")
    stated = re.search(r"TOTAL_ABNORMALITIES\s+(\d+)", text)
    parts = re.split(r"^ABNORMALITY\s+(\d+)\s*$", text, flags=re.MULTILINE)[1:]
    if stated is None or int(stated[1]) != len(parts) // 2:
        raise UnusableError(f"{overlay.name} does not hold the abnormalities that it states")
    lesions, left_out = [], []
    for number, part in zip(parts[::2], parts[1::2], strict=True):
        kinds = re.findall(r"^LESION_TYPE\s+(\S+)", part, re.MULTILINE)
        kind = next((_KINDS[word] for word in kinds if word in _KINDS), None)
        if kind is None:
            left_out.append(f"abnormality {number} is {' and '.join(kinds) or 'of no stated type'}, which is no kind")
        else:
            lesions.append(_lesion(number, kind, part, overlay, film))
    return tuple(lesions), left_out


def _lesion(number: str, kind: str, part: str, overlay: Path, film: _Film) -> FoundLesion:
    outline = _boundary(part, overlay, film)
    pathology = _value(part, "PATHOLOGY")
    return FoundLesion(
        abnormality_id=number,
        source=f"{overlay.name} {outline_digest(outline)}",
        read_mask=outline,
        kind=kind,
        pathology=pathology if pathology in PATHOLOGIES else "UNKNOWN",
        assessment=_value(part, "ASSESSMENT"),
        subtlety=_value(part, "SUBTLETY"),
        mass_shape=_words(_SHAPE, part),
        mass_margins=_words(_MARGINS, part),
    )


def _boundary(part: str, overlay: Path, film: _Film) -> ChainCode:
    found = re.search(r"^BOUNDARY\s*\n([\d\s]*)#", part, re.MULTILINE)
    numbers = [int(word) for word in found[1].split()] if found else []
    if len(numbers) < 3 or max(numbers[2:]) > 7:
        raise UnusableError(f"{overlay.name} holds an outline that is not 'column row', steps of 0 to 7, and '#'")
    return ChainCode((numbers[0], numbers[1]), tuple(numbers[2:]), film.size)


def _value(part: str, word: str) -> str:
    found = re.search(rf"^{word}\s+(\S+)", part, re.MULTILINE)
    return found[1] if found else ""


def _words(pattern: re.Pattern[str], part: str) -> str:
    found = pattern.search(part)
    return found[1] if found and found[1] != "N/A" else ""
