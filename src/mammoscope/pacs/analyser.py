"""The step from RECEIVED to ANALYSED: one image at a time, or one exam if the models look at exams."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import cast

from mammoscope.exam import MOST_VIEWS
from mammoscope.pacs.earlier_reports import EarlierReports
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.retries import NotYetError
from mammoscope.pacs.whole_exams import Members, WholeExams
from mammoscope.peers.errors import FailedError, UnavailableError
from mammoscope.queue.background import BackgroundProcess, JobFailedError, Message
from mammoscope.queue.standby import NoProcessError, StandbyProcess
from mammoscope.readers.exam_key import RUN_SECRET
from mammoscope.readers.limits import DEFAULT_LIMITS

logger = logging.getLogger(__name__)

Finished = Callable[[Image, str, str | None], None]

_IMAGE_SECONDS = 600.0


class Analyser:
    """Analyses images, in a process that any of them may crash.

    Parameters
    ----------
    queue
        The queue.
    bundle
        Folder of the bundle.
    threshold
        Detection score from which regions are reported; None: the bundle's.
    kinds
        Which results are made.
    exams
        Which images are one exam, if the models look at whole exams; None: each image is analysed by itself.
    finished
        Called for each image whose analysis is on disk, with its outcome and exam key, before results are sent.
    of_exams
        Which results are made of what is analysed together, of ``image_place.OF_EXAMS``.
    earlier
        Finds reports that were made before, where this folder does not remember them; None: nothing does.
    """

    def __init__(
        self,
        queue: ImageQueue,
        bundle: Path,
        threshold: float | None,
        kinds: tuple[str, ...],
        exams: WholeExams | None,
        finished: Finished,
        *,
        of_exams: Sequence[str] = (),
        earlier: EarlierReports | None = None,
    ) -> None:
        self._queue, self._exams, self._finished, self._earlier = queue, exams, finished, earlier
        start = partial(
            BackgroundProcess,
            "mammoscope.pacs.analysis_process",
            bundle,
            DEFAULT_LIMITS,
            threshold=threshold,
            kinds=kinds,
            of_exams=tuple(of_exams),
            exam_secret=RUN_SECRET.to_message(),
        )
        self._process = StandbyProcess(start)

    def __call__(self, image: Image) -> None:
        """Analyse one image, skip it with the reason, let it wait for its exam, or let it be fetched again."""
        try:
            self._analyse(image)
        except FailedError as error:
            if not error.final or image.study is None:
                raise
            # Fetched, so it can be fetched again: it may have been cut off, garbled or taken for another on its way.
            if self._queue.fetch_again(image, str(error)):
                raise
            logger.warning("%s: %s; it is fetched again", image.key, error)

    def check(self) -> None:
        """See whether the process answers; it is started if there is none. Raises ``UnavailableError``."""
        try:
            self._process.ready().ping()
        except (NoProcessError, JobFailedError):
            raise UnavailableError("the analysis process does not answer") from None

    def _analyse(self, image: Image) -> None:
        identity = self._ask(image, {"do": "identify", "folder": self._folder(image)})
        if identity["sop_instance"] != image.sop_instance:
            raise FailedError("its SOP Instance UID differs from the one that it was sent or found under", final=True)
        if (reason := self._reason_to_skip(image, identity)) is not None:
            self._queue.finish(image, ImageState.SKIPPED, reason)
            logger.info("%s: skipped, %s", image.key, reason)
            return
        if not identity["processing"]:
            self._queue.memory.add_presentations(identity["marks"])
        done = self._outcome(image, identity["exam_key"], image.study or identity["study"])
        self._finished(image, str(done["outcome"]), identity["exam_key"])
        self._queue.memory.add_reports(image, done.get("reports", ()))
        self._queue.analysed(image, done["results"])

    def stop(self) -> None:
        """Kill the process; the job under way is done again later."""
        self._process.stop()

    def _reason_to_skip(self, image: Image, identity: Message) -> str | None:
        if self._queue.memory.is_result(image.sop_instance):
            return "it is a result of mammoscope"
        if identity["processing"] and self._queue.memory.has_presentation(identity["marks"]):
            return "it is For Processing, and the same exposure has arrived For Presentation"
        return None

    def _outcome(self, image: Image, exam_key: str | None, study: str | None) -> Message:
        """What came of an image; raises as ``Transition.do`` does."""
        if self._exams is None or exam_key is None:
            (outcome,) = self._analysed([image], Members(), study)
        elif left := self._exams.seconds_left(image, exam_key):
            raise NotYetError("waits until its exam is whole", left)
        else:
            outcome = self._exams.take_outcome(image, exam_key) or self._of_exam(image, exam_key, study)
        if "fault" in outcome:
            logger.error("%s: %s", image.key, outcome["fault"])
        if "problem" in outcome:
            raise FailedError(str(outcome["problem"]), final=bool(outcome.get("final")))
        return outcome

    def _of_exam(self, image: Image, exam_key: str, study: str | None) -> Message:
        """Analyse an image together with the others of its exam, whose outcomes are kept until their turn."""
        exams = cast(WholeExams, self._exams)
        members = exams.members(image, exam_key)
        if members.gone:
            logger.warning("%s: came after %d images of its exam were done and removed", image.key, members.gone)
        together = [image, *members.due]
        if len(together) + len(members.done) > MOST_VIEWS:
            together, members = [image], Members()
        try:
            outcome, *others = self._analysed(together, members, study)
        except FailedError as error:
            if len(together) + len(members.done) == 1:
                raise
            exams.failed_together(exam_key)  # if one of them is at fault, only that one is to fail
            raise NotYetError(f"its exam cannot be analysed together ({error})", 0.0) from None
        for other, its_outcome in zip(together[1:], others, strict=True):
            exams.keep_outcome(other, exam_key, its_outcome)
        return outcome

    def _analysed(self, images: Sequence[Image], others: Members, study: str | None) -> list[Message]:
        """What came of each of ``images``; those that are done are only looked at."""
        beside, folder = others.done, self._queue.place(images[0]).earlier
        reports = [
            report for image in (*images, *beside) for report in self._queue.memory.reports_on(image.sop_instance)
        ]
        request = {
            "do": "analyse",
            "images": [{"folder": self._folder(image), "name": image.key} for image in images],
            "beside": [{"folder": self._folder(image), "name": image.key} for image in beside],
            "gone": others.gone,
            "reports": reports,
            "earlier": os.path.abspath(folder),  # noqa: PTH100
        }
        with self._earlier.fetched(study, folder) if self._earlier is not None and study else nullcontext():
            reply = self._ask(images[0], request, (len(images) + len(beside)) * _IMAGE_SECONDS)
        outcomes = list(reply["images"])
        if len(outcomes) != len(images):
            raise FailedError("the analysis process did not answer for each image")
        return outcomes

    def _folder(self, image: Image) -> str:
        return os.path.abspath(self._queue.place(image).folder)  # noqa: PTH100

    def _ask(self, image: Image, request: Message, seconds: float = _IMAGE_SECONDS) -> Message:
        try:
            return self._process.ready().ask(image.key, request, seconds)
        except NoProcessError as error:
            raise UnavailableError(str(error)) from None
        except JobFailedError as error:
            raise FailedError(error.problem, final=error.final) from None
