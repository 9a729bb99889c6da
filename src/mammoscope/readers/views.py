"""Which breast, and which view of it: from the elements that state it, never guessed."""

from __future__ import annotations

from mammoscope.mammogram import Laterality
from mammoscope.readers.header import Header, described

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
    _MAGNIFICATION: "a magnification view",
    ("399055006", "R-102D7"): "a spot compression view",
    ("399209000", "R-102D5"): "a view with the implant displaced",
}
_SHORT_NAMES = frozenset(name for *_, name in _VIEW_CODES + _MODIFIER_VIEWS)
_SIDES = {"L": Laterality.LEFT, "R": Laterality.RIGHT}
_SIDE_KEYWORDS = ("ImageLaterality", "Laterality", "FrameLaterality")


def laterality_of(header: Header) -> Laterality | None:
    """The breast that Image Laterality, else Laterality, else Frame Laterality states."""
    stated: dict[str, Laterality] = {}
    for keyword in _SIDE_KEYWORDS:
        value = header.code(keyword)
        if value is None:
            continue
        if value in _SIDES:
            stated[keyword] = _SIDES[value]
        elif value == "B":
            header.warnings.append(f"{described(keyword)} is 'B' (both breasts): which breast it shows is not known.")
        else:
            header.warnings.append(f"{described(keyword)} is {header.shown(keyword)}, expected L or R: not used.")
    if len(set(stated.values())) > 1:
        contradiction = " but ".join(f"{described(keyword)} says {side}" for keyword, side in stated.items())
        header.warnings.append(f"{contradiction}: the first is used.")
    return next(iter(stated.values()), None)


def view_of(header: Header) -> str | None:
    """The view's short name: by View Code Sequence, else View Position; notes magnification and the like."""
    coded = _coded_view(header)
    if coded is not None:
        return coded
    position = header.code("ViewPosition")
    if position is not None:
        name = _normalised(position)
        if name is None:
            shown = header.shown("ViewPosition")
            header.warnings.append(f"{described('ViewPosition')} is {shown}, no mammographic view: not used.")
        return name
    # CBIS-DDSM keeps the view in Patient Orientation, which else holds two directions.
    orientation = header.text("PatientOrientation")
    return _normalised(orientation.upper()) if orientation else None


def is_magnified(header: Header) -> bool:
    """Whether the view is a magnification view, so that the detector's pixel spacing is not that in the breast."""
    modifiers = {_code(item) for view in header.items("ViewCodeSequence") for item in _modifiers(view)}
    partial = header.text("PartialViewDescription") or ""
    return bool(modifiers & set(_MAGNIFICATION)) or "MAGNIFICATION" in partial.upper()


def note_view_modifiers(header: Header) -> None:
    """Add a warning for each way in which the view is not a standard one."""
    found = {_code(item) for view in header.items("ViewCodeSequence") for item in _modifiers(view)}
    for codes, words in _MODIFIERS.items():
        if found & set(codes):
            header.warnings.append(f"This is {words}, unlike the full standard views that the models know.")
    if header.code("PartialView") == "YES":
        header.warnings.append("This is a partial view: it shows only a part of the breast.")


def _coded_view(header: Header) -> str | None:
    views = header.items("ViewCodeSequence")
    if not views:
        return None
    modifiers = {_code(item) for item in _modifiers(views[0])}
    for snomed_ct, snomed_rt, name in _MODIFIER_VIEWS:
        if modifiers & {snomed_ct, snomed_rt}:
            return name
    code = _code(views[0])
    return next((name for snomed_ct, snomed_rt, name in _VIEW_CODES if code in (snomed_ct, snomed_rt)), None)


def _modifiers(view: Header) -> list[Header]:
    return view.items("ViewModifierCodeSequence")


def _code(item: Header) -> str | None:
    return item.text("CodeValue")


def _normalised(position: str) -> str | None:
    """``"MLO"`` from ``"MLO"``, ``"mlo"``, ``"RMLO"`` or ``"R-MLO"``; None for what is no view."""
    letters = "".join(sign for sign in position if sign.isalpha())
    if letters in _SHORT_NAMES:
        return letters
    # LMO and LM are views of their own, so a side is cut off only from what is none.
    return letters[1:] if letters[:1] in _SIDES and letters[1:] in _SHORT_NAMES else None
