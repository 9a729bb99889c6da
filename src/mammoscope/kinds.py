"""The kinds of findings: names, codes, sizes that are measured, and drawing. One row for each kind.

All code that names a kind reads this table: findings and their JSON Schema, DICOM reports and segmentations, the
overlay, the table, the PDF report and the page. A new kind is a new row of ``KINDS``; the published schema is then
written again by ``python -m mammoscope.writers.json``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mammoscope.errors import MammoscopeError

ColourKey = Literal["vermillion", "sky blue", "reddish purple"]


@dataclass(frozen=True)
class Coded:
    """A concept of a coding scheme, as DICOM writes it (PS3.16): ``SCT`` is SNOMED CT, ``DCM`` is DICOM's own."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Measure:
    """A size that findings can have.

    Attributes
    ----------
    field
        Where ``findings.Size`` holds it.
    word
        What it is called beside the number.
    unit
        In UCUM.
    code
        What a structured report calls it.
    """

    field: Literal["area_mm2", "longest_diameter_mm"]
    word: str
    unit: Literal["mm", "mm2"]
    code: Coded


AREA = Measure("area_mm2", "area", "mm2", Coded("42798000", "SCT", "Area"))
LONGEST_DIAMETER = Measure("longest_diameter_mm", "longest", "mm", Coded("103339001", "SCT", "Long axis"))
# For findings without a margin, such as a cluster: the same number under another name.
EXTENT = Measure("longest_diameter_mm", "extent", "mm", Coded("103339001", "SCT", "Long axis"))


@dataclass(frozen=True)
class Feature:
    """A property that findings of a kind are described by, in words.

    Attributes
    ----------
    name
        As in ``Candidates.attributes``, and in JSON.
    code
        What a structured report calls it.
    words
        Each with its code.
    """

    name: str
    code: Coded
    words: tuple[tuple[str, Coded], ...]

    def coded(self, word: str) -> Coded | None:
        """The code of a word; None: it is none of the words."""
        return dict(self.words).get(word)


# PS3.16, CID 6010 and CID 6012.
MORPHOLOGY = Feature(
    "morphology",
    Coded("111009", "DCM", "Calcification Type"),
    (
        ("amorphous", Coded("129760005", "SCT", "Amorphous calcification")),
        ("pleomorphic", Coded("111344", "DCM", "Fine pleomorphic calcification")),
        ("linear", Coded("129761009", "SCT", "Fine, linear (casting) calcification")),
    ),
)
DISTRIBUTION = Feature(
    "distribution",
    Coded("111008", "DCM", "Calcification Distribution"),
    (
        ("grouped", Coded("129766004", "SCT", "Grouped calcification distribution")),
        ("linear", Coded("129765000", "SCT", "Linear calcification distribution")),
        ("segmental", Coded("129768003", "SCT", "Segmental calcification distribution")),
        ("regional", Coded("129767008", "SCT", "Regional calcification distribution")),
        ("diffuse", Coded("129764001", "SCT", "Diffuse calcification distribution")),
    ),
)


@dataclass(frozen=True)
class Grade:
    """On which side of the malignancy threshold a finding lies, and how that is drawn.

    Attributes
    ----------
    name
        In JSON, and beside the score.
    colour
        Which colour of the palette; each writer has its own shade of it.
    line
        Of its box, and of its outline in the PDF report.
    """

    name: Literal["malignant", "benign", "ungraded"]
    colour: ColourKey
    line: Literal["solid", "dashed"]


MALIGNANT = Grade("malignant", "vermillion", "solid")
BENIGN = Grade("benign", "sky blue", "dashed")
GRADES = (MALIGNANT, BENIGN)
# Of a finding of a kind that no model grades: it has no malignancy score, and no other kind's is given to it.
UNGRADED = Grade("ungraded", "reddish purple", "solid")


@dataclass(frozen=True)
class Kind:
    """A kind of finding.

    Attributes
    ----------
    name
        In JSON, in datasets and between the steps of a bundle.
    word, plural
        What a reader is shown.
    code
        What is found: the finding of a structured report and the property type of a segment, from PS3.16's context
        groups for mammography (CID 6014, 6016, 6054) or segments (CID 7159).
    content_label
        Of a segmentation that holds this kind alone; a value of type CS (16 characters of A to Z, 0 to 9, space and
        underscore).
    measures
        What can be measured of it, in the order of the report.
    outlined
        Whether an outline is drawn within its box; one through a cluster of calcifications would hide them. Where an
        outline is known, JSON, report and segmentation have it all the same.
    cad_code
        What a Mammography CAD SR calls it, from CID 6014, which has no code for a mass; None: a selected region.
    grades
        The classes that its malignancy score is read as.
    features
        What it is described by, where a step says it.
    """

    name: str
    word: str
    plural: str
    code: Coded
    content_label: str
    measures: tuple[Measure, ...]
    outlined: bool
    cad_code: Coded | None = None
    grades: tuple[Grade, ...] = GRADES
    features: tuple[Feature, ...] = ()

    @property
    def indefinite(self) -> str:
        """The word with its article: ``"a mass"``."""
        return f"{'an' if self.word[0] in 'aeiou' else 'a'} {self.word}"

    def has(self, field: str) -> bool:
        """Whether a field of ``findings.Size`` is measured of it."""
        return any(measure.field == field for measure in self.measures)


DEFAULT_KIND = "mass"
_DENSITY = Coded("129793001", "SCT", "Mammography breast density")
KINDS: tuple[Kind, ...] = (
    Kind(
        name=DEFAULT_KIND,
        word="mass",
        plural="masses",
        code=Coded("4147007", "SCT", "Mass"),
        content_label="MASSES",
        measures=(LONGEST_DIAMETER, AREA),
        outlined=True,
        cad_code=_DENSITY,
    ),
    Kind(
        name="calcification",
        word="calcification",
        plural="calcifications",
        code=Coded("129769006", "SCT", "Calcification Cluster"),
        content_label="CALCIFICATIONS",
        measures=(EXTENT,),
        outlined=False,
        cad_code=Coded("129769006", "SCT", "Calcification Cluster"),
        features=(MORPHOLOGY, DISTRIBUTION),
    ),
    Kind(
        name="asymmetry",
        word="asymmetry",
        plural="asymmetries",
        code=Coded("129790003", "SCT", "Asymmetric breast tissue"),
        content_label="ASYMMETRIES",
        measures=(EXTENT,),
        outlined=True,
        cad_code=_DENSITY,
    ),
    Kind(
        name="distortion",
        word="architectural distortion",
        plural="architectural distortions",
        code=Coded("129792006", "SCT", "Architectural distortion of breast"),
        content_label="DISTORTIONS",
        measures=(EXTENT,),
        outlined=False,
        cad_code=Coded("129792006", "SCT", "Architectural distortion of breast"),
    ),
)
# What the built-in steps look for; the other rows are named, and unused until a model finds them.
SOUGHT: tuple[Kind, ...] = KINDS[:1]


def is_kind(name: str) -> bool:
    """Whether the table has a kind of that name."""
    return any(kind.name == name for kind in KINDS)


def kind_named(name: str) -> Kind:
    """The row of a kind.

    Raises
    ------
    MammoscopeError
        There is no such kind; lists the known kinds.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise MammoscopeError(
        f"{name!r} is not a kind of finding, expected one of {', '.join(kind.name for kind in KINDS)}"
    )


def grade_named(name: Literal["malignant", "benign"] | None) -> Grade:
    """The grade of that name; None: of what was not graded."""
    return next((grade for grade in GRADES if grade.name == name), UNGRADED)


def kinds_shown(names: Iterable[str], sought: Iterable[str] = ()) -> tuple[Kind, ...]:
    """The kinds of findings with these kind names, in the order of ``KINDS``; without a finding, those looked for.

    ``sought`` are the names of the latter; none: what the built-in steps look for.
    """
    present = set(names) or set(sought)
    return tuple(kind for kind in KINDS if kind.name in present) or SOUGHT


def score_word(kinds: tuple[Kind, ...]) -> str:
    """What a detection score is called where these kinds are shown: the word of the one, or ``"detection"``."""
    return kinds[0].word if len(kinds) == 1 else "detection"


def longest_word(kinds: tuple[Kind, ...]) -> str:
    """What the longest diameter is called where these kinds are shown."""
    words = {each.word for kind in kinds for each in kind.measures if each.field == LONGEST_DIAMETER.field}
    return words.pop() if len(words) == 1 else LONGEST_DIAMETER.word
