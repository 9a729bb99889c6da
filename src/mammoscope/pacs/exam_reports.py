"""A report on each exam beside the analyses of its images, where images are kept."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.exam_report import report_on
from mammoscope.pacs.image_place import ImagePlace
from mammoscope.readers import IsolatedReader
from mammoscope.readers.limits import DEFAULT_LIMITS
from mammoscope.writers.exam_json import EXAM_SUFFIX, reported_in, write_exam_report
from mammoscope.writers.json import read_analysis

logger = logging.getLogger(__name__)

_OPEN_SECONDS = 86_400.0  # images of an exam come within minutes; after a day and a restart they are an exam anew
_MOST_OPEN = 10_000  # exams that are known by their key, some 100 bytes each


class ExamReports:
    """Writes ``DATA/exams/<key>.exam.json`` when the second image of an exam is analysed, and anew with each further.

    Images are of one exam where they state one study of one patient. Which do is kept in memory, as keyed hashes; a
    new process finds it out again from the images and reports of the last day.

    Parameters
    ----------
    root
        Folder of the queue, which keeps the files of its images.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._members: OrderedDict[str, set[str]] = OrderedDict()
        if not (places := _recent_places(root / "files")):
            return
        earlier = [members for path in (root / "exams").glob(f"*{EXAM_SUFFIX}") if (members := _members_of(path))]
        with IsolatedReader(DEFAULT_LIMITS.of_header) as reader:
            for place in places:
                members = self._note(reader.exam_key(place.image), place.folder.name)
                for reported in earlier:
                    if place.folder.name in reported:
                        members |= reported

    def add(self, image: str, exam_key: str | None) -> None:
        """Report on the exam of an image whose analysis is on disk; what cannot be written is said in the log.

        Parameters
        ----------
        image
            The name of its folder.
        exam_key
            Made with the secret of this process; None: it states no study, and is an exam of its own.
        """
        members = sorted(self._note(exam_key, image))
        if len(members) < 2:
            return
        # Named after one of its images, as that one's own folder is: by the hash of a UID.
        path, *others = (self._root / "exams" / f"{member}{EXAM_SUFFIX}" for member in members)
        try:
            there = [one for one in members if self._analysis(one).exists()]
            analyses = [(f"../files/{one}/analysis.json", read_analysis(self._analysis(one))) for one in there]
            write_exam_report(report_on(analyses, not_analysed=None), path)
            for other in others:
                if _members_of(other) <= set(members):
                    with suppress(OSError):
                        other.unlink()
        except (MammoscopeError, ValueError) as error:
            reason = error if isinstance(error, MammoscopeError) else "its images were analysed by different models"
            logger.warning("%s: no report on its exam: %s", image, reason)

    def _note(self, exam_key: str | None, image: str) -> set[str]:
        if exam_key is None:
            return {image}
        members = self._members.setdefault(exam_key, set())
        self._members.move_to_end(exam_key)
        members.add(image)
        if len(self._members) > _MOST_OPEN:
            self._members.popitem(last=False)
        return members

    def _analysis(self, image: str) -> Path:
        return ImagePlace(self._root / "files" / image).analysis


def _members_of(report: Path) -> set[str]:
    """The images that a report is about; empty where there is none that can be read."""
    return {Path(name).parent.name for name in reported_in(report) or ()}


def _recent_places(files: Path) -> list[ImagePlace]:
    """Images that were analysed within the last day, in the order in which they were."""
    oldest, found = time.time() - _OPEN_SECONDS, []
    for folder in files.iterdir():
        place = ImagePlace(folder)
        try:
            analysed = place.analysis.stat().st_mtime
        except OSError:
            continue
        if analysed >= oldest:
            found.append((analysed, folder.name, place))
    return [place for *_, place in sorted(found, key=lambda one: one[:2])]
