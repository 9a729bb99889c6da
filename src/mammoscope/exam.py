"""An exam: the views of one woman, taken at one time."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mammoscope.mammogram import Laterality, Mammogram

Item = TypeVar("Item")

# Analysed together: an exam has four views, with spot views and repeats rarely ten. More would only take memory.
MOST_VIEWS = 16

# The hanging order: the right breast on the reader's left, CC above MLO.
STANDARD_VIEWS: tuple[tuple[Laterality, str], ...] = (
    (Laterality.RIGHT, "CC"),
    (Laterality.LEFT, "CC"),
    (Laterality.RIGHT, "MLO"),
    (Laterality.LEFT, "MLO"),
)


@dataclass(frozen=True, eq=False)
class Exam:
    """One or more views of one woman, taken at one time; a single image is an exam of one view.

    Attributes
    ----------
    views
        At least one. Several must share one exam key; being in one folder or upload is not enough.

    Raises
    ------
    ValueError
        There is no view, or the views do not all state the same study of the same patient.
    """

    views: tuple[Mammogram, ...]

    def __post_init__(self) -> None:
        if not self.views:
            raise ValueError("an exam has 0 views, it must have at least one view")
        if len(self.views) == 1:
            return
        keys = {view.exam_key for view in self.views}
        if None in keys:
            nameless = [view.name for view in self.views if view.exam_key is None]
            raise ValueError(
                f"{', '.join(nameless)}: states no study, so it cannot be in an exam with other images; "
                "analyse it alone"
            )
        if len(keys) > 1:
            raise ValueError(
                f"{', '.join(view.name for view in self.views)}: these images are of {len(keys)} exams (study and "
                "patient), they must be of one"
            )

    @classmethod
    def vouched(cls, views: Sequence[Mammogram]) -> Exam:
        """An exam of images that cannot state a study; the caller states that they are of one woman, taken at one time.

        Raises
        ------
        ValueError
            There is no view, or one of them is DICOM: what it states decides, and without a study it is alone.
        """
        if stated := [view.name for view in views if view.exam_key is not None]:
            raise ValueError(f"{', '.join(stated)}: states its study and patient, which decide")
        if dicom := [view.name for view in views if view.file_format == "DICOM"]:
            raise ValueError(f"{', '.join(dicom)}: is a DICOM image that states no study; analyse it alone")
        word = secrets.token_hex(32)
        return cls(tuple(dataclasses.replace(view, exam_key=word) for view in views))


def hanging_place(laterality: Laterality | None, view: str | None) -> int:
    """Place of a view among ``STANDARD_VIEWS``; that of all others is after them."""
    places = (place for place, standard in enumerate(STANDARD_VIEWS) if standard == (laterality, view))
    return next(places, len(STANDARD_VIEWS))


def grouped(keyed: Iterable[tuple[Item, str | None]]) -> list[tuple[Item, ...]]:
    """Items by their exam key, exams in the order of their first item; one without a key is alone.

    Parameters
    ----------
    keyed
        Each item, such as a file's place in a list, with its exam key. Both are kept, so they should be small.
    """
    groups: list[list[Item]] = []
    places: dict[str, int] = {}
    for item, key in keyed:
        if key is not None and key in places:
            groups[places[key]].append(item)
            continue
        if key is not None:
            places[key] = len(groups)
        groups.append([item])
    return [tuple(group) for group in groups]
