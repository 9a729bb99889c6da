"""Which breast, and which view of it: from the elements that state it, never guessed."""

from __future__ import annotations

from mammoscope.mammogram import Laterality
from mammoscope.readers.dicom.header import Header, described

# DICOM PS3.16 CID 4014 and CID 4015: SNOMED CT code, the SNOMED RT code of older files, and the short name that
# PS3.3 C.8.11.7 gives for View Position.
_VIEW_CODES = (
    ("399260004", "R-10224", "ML"),
    ("399368009", "R-10226", "MLO"),
    ("399352003", "R-10228", "LM"),
    ("399099002", "R-10230", "LMO"),
    ("399162004", "R-10242", "CC"),
    ("399196006", "R-10244", "FB"),
    ("399188001", "R-102D0", "SIO"),
    ("441555000", "R-40AAA", "ISO"),
    ("399192008", "R-1024A", "XCCL"),
    ("399101009", "R-1024B", "XCCM"),
    ("399265009", "R-1024C", "XCC"),
    ("127457009", "G-8310", "SPECIMEN"),
)
_MODIFIER_VIEWS = (
    ("399011000", "R-102D1", "AT"),
    ("399161006", "R-102D2", "CV"),
    ("399110001", "R-102C2", "TAN"),
)
_MAGNIFICATION = ("399163009", "R-102D6")
_MODIFIERS = {
    ("399055006", "R-102D7"): "a spot compression view",
    ("399209000", "R-102D5"): "a view with the implant displaced",
    ("441752004", "P2-00161"): "a view with anterior compression",
    ("399197002", "R-102D3"): "a view of the breast rolled laterally",
    ("399226006", "R-102D4"): "a view of the breast rolled medially",
    ("414493004", "R-102CA"): "a view of the breast rolled inferiorly",
    ("415670009", "R-102C9"): "a view of the breast rolled superiorly",
}
_SHORT_NAMES = frozenset(name for *_, name in _VIEW_CODES + _MODIFIER_VIEWS)
_SIDES = {"L": Laterality.LEFT, "R": Laterality.RIGHT}
_SIDE_KEYWORDS = ("ImageLaterality", "Laterality", "FrameLaterality")
# Left breast, right breast (SNOMED CT, SNOMED RT), and left and right as modifiers of "breast" (CID 244).
_SIDE_CODES = {
    **dict.fromkeys(("80248007", "T-04030", "7771000", "G-A101"), Laterality.LEFT),
    **dict.fromkeys(("73056007", "T-04020", "24028007", "G-A100"), Laterality.RIGHT),
}


def laterality_of(header: Header) -> Laterality | None:
    """The breast that Image Laterality states, else Laterality, Frame Laterality, the anatomic region, or the view."""
    stated: dict[str, Laterality] = {}
    for keyword in _SIDE_KEYWORDS:
        value = header.code(keyword)
        if value in _SIDES:
            stated[keyword] = _SIDES[value]
        elif value == "B":
            header.warnings.append(f"{described(keyword)} is 'B' (both breasts), expected L or R: not used.")
        elif value is not None:
            header.warnings.append(f"{described(keyword)} is {header.shown(keyword)}, expected L or R: not used.")
    coded = {"AnatomicRegionSequence": _coded_side(header), "ViewPosition": _side_of_view(header)}
    stated |= {keyword: side for keyword, side in coded.items() if side is not None}
    if len(set(stated.values())) > 1:
        contradiction = " but ".join(f"{described(keyword)} says {side}" for keyword, side in stated.items())
        header.warnings.append(f"{contradiction}: the first is used.")
    return next(iter(stated.values()), None)


def view_of(header: Header) -> str | None:
    """The view's short name: by View Code Sequence, else View Position; notes magnification and the like."""
    views, position = header.items("ViewCodeSequence"), header.code("ViewPosition")
    name = _normalised(position) if position is not None else None
    if views:
        basic, coded = _coded_view(header, views[0])
        if coded is not None:
            if name not in (None, basic, coded):
                header.warnings.append(
                    f"{described('ViewCodeSequence')} says {coded} but {described('ViewPosition')} says {name}: "
                    "the first is used."
                )
            return coded
        if name is None:
            header.warnings.append(f"{described('ViewCodeSequence')} names no mammographic view: not used.")
    if position is not None:
        if name is None:
            shown = header.shown("ViewPosition")
            header.warnings.append(
                f"{described('ViewPosition')} is {shown}, which is not a mammographic view: not used."
            )
        return name
    # CBIS-DDSM keeps the view in Patient Orientation, which else holds two directions.
    orientation = header.text("PatientOrientation")
    return _normalised(orientation.upper()) if orientation else None


def says_magnified(header: Header) -> bool:
    """Whether the view is called a magnification view; its factor may say so too, see ``magnification``."""
    partial = header.text("PartialViewDescription") or ""
    return bool(_modifiers(header) & set(_MAGNIFICATION)) or "MAGNIFICATION" in partial.upper()


def note_view_modifiers(header: Header, *, magnified: bool) -> None:
    """Add a warning for everything in which the view differs from a standard one."""
    found = _modifiers(header)
    kinds = [words for codes, words in _MODIFIERS.items() if found & set(codes)]
    if magnified:
        kinds.insert(0, "a magnification view")
    for words in kinds:
        header.warnings.append(f"This is {words}, unlike the full standard views that the models know.")
    if header.code("PartialView") == "YES" or header.items("PartialViewCodeSequence"):
        header.warnings.append("This is a partial view: it shows only a part of the breast.")


def _coded_view(header: Header, view: Header) -> tuple[str | None, str | None]:
    """The view that is coded without, and with, the modifiers that make it another one."""
    code, modifiers = _code(view), _modifiers(header)
    basic = next((name for *codes, name in _VIEW_CODES if code in codes), None)
    return basic, next((name for *codes, name in _MODIFIER_VIEWS if modifiers & set(codes)), basic)


def _modifiers(header: Header) -> set[str | None]:
    """Codes of View Modifier Code Sequence, which stands in the view, and in some files beside it."""
    places = [header, *header.items("ViewCodeSequence")]
    return {_code(item) for place in places for item in place.items("ViewModifierCodeSequence")}


def _coded_side(header: Header) -> Laterality | None:
    """The side of the breast that is coded as the anatomic region, or as a modifier of it."""
    regions = header.items("AnatomicRegionSequence")[:1]
    modifiers = [item for place in (header, *regions) for item in place.items("AnatomicRegionModifierSequence")]
    sides = {_SIDE_CODES[code] for item in (*regions, *modifiers) if (code := _code(item)) in _SIDE_CODES}
    return sides.pop() if len(sides) == 1 else None


def _side_of_view(header: Header) -> Laterality | None:
    """The side in a View Position such as ``"RMLO"``."""
    letters = _letters(header.code("ViewPosition") or "")
    return _SIDES[letters[0]] if letters not in _SHORT_NAMES and _normalised(letters) else None


def _code(item: Header) -> str | None:
    return item.text("CodeValue")


def _normalised(position: str) -> str | None:
    """``"MLO"`` from ``"MLO"``, ``"mlo"``, ``"RMLO"`` or ``"R-MLO"``; None for anything else."""
    letters = _letters(position)
    if letters in _SHORT_NAMES:
        return letters
    # LMO and LM are views themselves, so a side is cut off only from what is not a view. LAT: lateral, of either side.
    is_sided = letters[:1] in _SIDES and letters[1:] in _SHORT_NAMES and letters != "LAT"
    return letters[1:] if is_sided else None


def _letters(text: str) -> str:
    return "".join(sign for sign in text if sign.isalpha())
