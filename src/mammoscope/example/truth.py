"""``truth.json``: what was drawn, in pixels of each file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mammoscope.errors import InputError
from mammoscope.example.phantom import PhantomView
from mammoscope.example.settings import PhantomSettings
from mammoscope.files import write_text
from mammoscope.findings import KindName
from mammoscope.mammogram import Laterality

TRUTH = "truth.json"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrueLesion(_Record):
    """A lesion on a view; see ``lesions.PhantomLesion``, rounded to hundredths of a pixel."""

    lesion: int
    kind: KindName
    features: dict[str, str]
    malignant: bool
    centre: tuple[float, float]
    radius: float
    box: tuple[float, float, float, float]
    outline: tuple[tuple[float, float], ...]


class TrueView(_Record):
    """One file."""

    exam: Literal["present", "prior"]
    laterality: Laterality
    view: str
    spacing_mm: float
    lesions: tuple[TrueLesion, ...]

    @classmethod
    def of(cls, view: PhantomView, *, before: bool) -> TrueView:
        """What was drawn on a view; of the exam before, or of the present one."""
        lesions = tuple(
            TrueLesion(
                lesion=lesion.lesion,
                kind=lesion.kind,
                features=lesion.features,
                malignant=lesion.malignant,
                centre=(round(lesion.centre[0], 2), round(lesion.centre[1], 2)),
                radius=round(lesion.radius, 2),
                box=tuple(round(value, 2) for value in lesion.box),
                outline=tuple((x, y) for x, y in lesion.outline.round(2).tolist()),
            )
            for lesion in view.lesions
        )
        exam: Literal["present", "prior"] = "prior" if before else "present"
        return cls(
            exam=exam,
            laterality=view.laterality,
            view=view.view,
            spacing_mm=round(view.spacing_mm, 9),
            lesions=lesions,
        )


class Truth(_Record):
    """The whole file; ``files`` by their names."""

    about: str = "SYNTHETIC PHANTOM: what was drawn, in pixels of each file."
    seed: int
    settings: PhantomSettings = Field(default=PhantomSettings())
    files: dict[str, TrueView]


def write_truth(truth: Truth, folder: Path) -> None:
    """Write ``truth.json``; raises MammoscopeError where it cannot be written."""
    write_text(folder / TRUTH, truth.model_dump_json(indent=1) + "\n")


def read_truth(folder: Path) -> Truth:
    """Read what ``write_truth`` wrote.

    Raises
    ------
    InputError
        The file cannot be read, or is not one of this version; names the first field that is wrong.
    """
    path = folder / TRUTH
    try:
        return Truth.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(path, f"is not the truth of a phantom exam ({place}: {first['msg']})") from None
