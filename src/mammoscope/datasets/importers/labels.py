"""What other people's words for kinds, pathologies and BI-RADS mean in the dataset layout."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mammoscope.kinds import DEFAULT_KIND

DENSITIES = {"A": "1", "B": "2", "C": "3", "D": "4"}
SIDES = {"L": "LEFT", "LEFT": "LEFT", "R": "RIGHT", "RIGHT": "RIGHT", "": ""}

_KINDS = (  # the first that a label holds
    ("calcification", re.compile(r"\bmicro\s?calc|\bcalc|\bmicros?\b")),
    ("distortion", re.compile(r"distortion")),
    ("asymmetry", re.compile(r"ass?[iy]m+etr")),
    ("mass", re.compile(r"\bmass|\bnodule|\btumou?rs?\b|\bspiculated region|\bespiculated region")),
)
_PATHOLOGIES = (
    ("BENIGN_WITHOUT_CALLBACK", re.compile(r"benign without callback")),
    ("MALIGNANT", re.compile(r"\bmalign|\bcancer")),
    ("BENIGN", re.compile(r"\bbenign")),
)
_NOTHING = frozenset({"", "normal", "no finding", "none", "negative", "background"})
_BIRADS = re.compile(r"(?:bi[- ]?rads?[- :]*)?([0-6])\s*([abc])?", re.IGNORECASE)


@dataclass(frozen=True)
class Label:
    """What a label says; ``pathology`` is ``"UNKNOWN"`` where it says none."""

    kind: str
    pathology: str


def label_of(text: str) -> Label | None:
    """What a label of an annotation tool means: ``"malignant mass"``; None if it means nothing here.

    A label that states a pathology and no kind is of a mass, as a lesion without a kind is everywhere in the layout.
    """
    words = " ".join(re.sub(r"[^a-z]+", " ", text.lower()).split())
    kind = next((name for name, pattern in _KINDS if pattern.search(words)), None)
    pathology = next((name for name, pattern in _PATHOLOGIES if pattern.search(words)), None)
    if kind is None and pathology is None:
        return None
    return Label(kind or DEFAULT_KIND, pathology or "UNKNOWN")


def says_nothing(text: str) -> bool:
    """Whether a label says that there is no lesion."""
    return " ".join(re.sub(r"[^a-z]+", " ", text.lower()).split()) in _NOTHING


def birads_of(text: str) -> str | None:
    """The category, ``"4"`` or ``"4a"``, in ``"BI-RADS 4"``, ``"4a"`` or ``"4.0"``; None: there is none."""
    found = _BIRADS.fullmatch(text.strip().removesuffix(".0"))
    return None if found is None else f"{found[1]}{(found[2] or '').lower()}"
