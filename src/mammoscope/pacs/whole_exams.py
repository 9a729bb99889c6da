"""Which images of the queue are one exam, and whether it is whole: models that look at exams wait for that."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState

_MOST_OPEN = 10_000  # exams that are remembered, some 1 kB each
_FETCHING_SECONDS = 1.0
_MOST_FAILURES = 2  # once may be no fault of the images

_Version = tuple[str, str | None]  # SOP Instance UID and digest


@dataclass
class _Exam:
    """One exam.

    Attributes
    ----------
    last
        When an image of it came last, by a clock that is never set.
    versions
        Its images, as they came last.
    outcomes
        Of images that were analysed with another one, until their own turn comes.
    failures
        How often its analysis failed as a whole.
    """

    last: float
    versions: dict[str, str | None] = field(default_factory=dict)
    outcomes: dict[_Version, dict[str, Any]] = field(default_factory=dict)
    failures: int = 0

    @property
    def apart(self) -> bool:
        """Whether each image is analysed by itself: one of them ends the process, or fails all."""
        return self.failures >= _MOST_FAILURES


@dataclass(frozen=True)
class Members:
    """Images that are looked at with one that is due.

    Attributes
    ----------
    due
        Those that wait for their analysis too.
    done
        Those whose analysis is done, and whose files are still on disk.
    gone
        How many were analysed, and have no file any more.
    """

    due: tuple[Image, ...] = ()
    done: tuple[Image, ...] = ()
    gone: int = 0


class WholeExams:
    """Gathers the images of exams. One thread uses it, and a new process finds out again what belongs together.

    Parameters
    ----------
    queue
        Where the images are.
    quiet
        Seconds without a further image after which an exam is whole.
    """

    def __init__(self, queue: ImageQueue, quiet: float) -> None:
        self._queue, self._quiet = queue, quiet
        self._exams: OrderedDict[str, _Exam] = OrderedDict()

    def seconds_left(self, image: Image, key: str) -> float:
        """Note an image of the exam with this key; returns the seconds until it may be whole, 0 if it is."""
        exam = self._exam(key)
        if image.sop_instance not in exam.versions or exam.versions[image.sop_instance] != image.digest:
            exam.versions[image.sop_instance] = image.digest
            exam.last = time.monotonic()
        if exam.apart or (image.sop_instance, image.digest) in exam.outcomes:
            return 0.0
        left = max(0.0, exam.last + self._quiet - time.monotonic())
        return left or (_FETCHING_SECONDS if self._queue.memory.is_to_fetch(image.study) else 0.0)

    def members(self, image: Image, key: str) -> Members:
        """The other images of its exam, each in the version that came last."""
        exam = self._exam(key)
        if exam.apart:
            return Members()
        due, done, gone = [], [], 0
        for sop_instance, digest in exam.versions.items():
            other = self._queue.image(sop_instance)
            if sop_instance == image.sop_instance or other is None or other.digest != digest:
                continue
            if other.state is ImageState.RECEIVED:
                due.append(other)
            elif other.state in (ImageState.ANALYSED, ImageState.SENT):
                if self._queue.place(other).image.exists():
                    done.append(other)
                else:
                    gone += 1
        return Members(tuple(due), tuple(done), gone)

    def keep_outcome(self, image: Image, key: str, outcome: dict[str, Any]) -> None:
        """Remember what came of an image until its own turn."""
        self._exam(key).outcomes[image.sop_instance, image.digest] = outcome

    def take_outcome(self, image: Image, key: str) -> dict[str, Any] | None:
        """What came of an image that was analysed with another one; it is told once."""
        return self._exam(key).outcomes.pop((image.sop_instance, image.digest), None)

    def failed_together(self, key: str) -> None:
        """Note that an exam failed as a whole; if it does again, each of its images is analysed by itself."""
        self._exam(key).failures += 1

    def _exam(self, key: str) -> _Exam:
        exam = self._exams.setdefault(key, _Exam(time.monotonic()))
        self._exams.move_to_end(key)
        if len(self._exams) > _MOST_OPEN:
            self._exams.popitem(last=False)
        return exam
