"""A report on each exam beside the analyses of its images, where images are kept."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from pathlib import Path

from mammoscope.errors import MammoscopeError
from mammoscope.exam_report import report_on
from mammoscope.pacs.image_place import ImagePlace
from mammoscope.readers.exam_key import RUN_SECRET
from mammoscope.readers.identify import read_exam_key
from mammoscope.writers.exam_json import EXAM_SUFFIX, write_exam_report
from mammoscope.writers.json import read_analysis

logger = logging.getLogger(__name__)

_OPEN_SECONDS = 86_400.0  # images of an exam come within minutes; after a day and a restart they are an exam anew
_MOST_OPEN = 10_000  # exams that are known by their key, some 100 bytes each


class ExamReports:
    """Writes ``DATA/exams/<key>.exam.json`` when the second image of an exam is analysed, and anew with each further.

    Images are of one exam where they state one study of one patient. Which do is kept in memory, as keyed hashes; a
    new process finds it out again from the images of the last day.

    Parameters
    ----------
    root
        Folder of the queue, which keeps the files of its images.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._members: OrderedDict[str, list[str]] = OrderedDict()
        for place in _recent_places(root / "files"):
            self._note(read_exam_key(place.image, secret=RUN_SECRET), place.folder.name)

    def add(self, image: str, exam_key: str | None) -> None:
        """Report on the exam of an image whose analysis is on disk; what cannot be written is said in the log.

        Parameters
        ----------
        image
            The name of its folder.
        exam_key
            Made with the secret of this process; None: it states no study, and is an exam of its own.
        """
        members = self._note(exam_key, image)
        if len(members) < 2:
            return
        # Named after its first image, as that one's own folder is: by the hash of a UID.
        path = self._root / "exams" / f"{members[0]}{EXAM_SUFFIX}"
        try:
            there = [one for one in members if self._analysis(one).exists()]
            analyses = [(f"../files/{one}/analysis.json", read_analysis(self._analysis(one))) for one in there]
            write_exam_report(report_on(analyses), path)
        except (MammoscopeError, ValueError) as error:
            reason = error if isinstance(error, MammoscopeError) else "its images were analysed by different models"
            logger.warning("%s: no report on its exam: %s", image, reason)

    def _note(self, exam_key: str | None, image: str) -> list[str]:
        if exam_key is None:
            return [image]
        members = self._members.setdefault(exam_key, [])
        self._members.move_to_end(exam_key)
        if image not in members:
            members.append(image)
        if len(self._members) > _MOST_OPEN:
            self._members.popitem(last=False)
        return members

    def _analysis(self, image: str) -> Path:
        return ImagePlace(self._root / "files" / image).analysis


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
