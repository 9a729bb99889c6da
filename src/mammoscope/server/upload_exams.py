"""Which files of an upload are one exam: being sent together is not enough."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from mammoscope.exam import grouped
from mammoscope.readers.source import MAGIC_BYTES, detect_format
from mammoscope.server.archives import Received

KeyOf = Callable[[Path], str | None]


@dataclass(frozen=True)
class UploadedExam:
    """Files of an upload that are one exam.

    Attributes
    ----------
    members
        Places of its files in the upload, in order.
    is_vouched
        Its images do not state that they belong together: the sender says so.
    """

    members: tuple[int, ...]
    is_vouched: bool = False


def exams_in(received: Sequence[Received], place: Callable[[int], Path], key_of: KeyOf) -> list[UploadedExam]:
    """Divide an upload into exams, in the order of each exam's first file.

    DICOM images are grouped by the study and patient that they state; one that states no study is an exam of its own.
    PNG, JPEG, TIFF and PGM images state no patient: beside a DICOM image each is a separate exam; without a DICOM image
    those of one folder or archive are one exam, on the word of the sender. Files that are not images are listed with
    the exam where there is one, else by themselves after all exams: nobody knows whose they are.

    Parameters
    ----------
    received, place
        The files that arrived, and where each lies.
    key_of
        Gives the exam key of a DICOM file, as ``read_exam_key`` does.
    """
    kinds = {number: _format_of(place(number)) for number, file in enumerate(received) if file.problem is None}
    images = {number: kind for number, kind in kinds.items() if kind is not None}
    others = [number for number in range(len(received)) if number not in images]
    has_dicom = "DICOM" in images.values()
    keys = ((number, key_of(place(number)) if kind == "DICOM" else None) for number, kind in images.items())
    groups = grouped(keys) if has_dicom else grouped((number, received[number].source) for number in images)
    exams = [UploadedExam(group, is_vouched=not has_dicom and len(group) > 1) for group in groups]
    if len(exams) == 1:
        return [replace(exams[0], members=tuple(sorted((*images, *others))))]
    return [*exams, *([UploadedExam(tuple(others))] if others else [])]


def within(seconds: float, key_of: KeyOf) -> KeyOf:
    """The same keys, but None from so many seconds on: files of slow headers keep one upload no longer."""
    end = monotonic() + seconds
    return lambda path: key_of(path) if monotonic() < end else None


def part(folder: Path, exam: UploadedExam, target: Path) -> None:
    """Move the files of an exam from the folder of an upload to the exam's own, where its members count from 0.

    Both may be the same folder, where the exams that are parted before have left.
    """
    for number, member in enumerate(exam.members):
        source = folder / str(member)
        if source != target / str(number) and source.exists():
            shutil.move(source, target / str(number))


def _format_of(path: Path) -> str | None:
    with path.open("rb") as stream:
        return detect_format(stream.read(MAGIC_BYTES))
