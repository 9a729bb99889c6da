"""The step from RECEIVED to ANALYSED."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.retries import FailedError, UnavailableError
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
    finished
        Called for each image whose analysis is on disk, with its outcome and exam key, before results are sent.
    """

    def __init__(
        self, queue: ImageQueue, bundle: Path, threshold: float | None, kinds: tuple[str, ...], finished: Finished
    ) -> None:
        self._queue, self._finished = queue, finished
        start = partial(
            BackgroundProcess,
            "mammoscope.pacs.analysis_process",
            bundle,
            DEFAULT_LIMITS,
            threshold=threshold,
            kinds=kinds,
            exam_secret=RUN_SECRET.to_message(),
        )
        self._process = StandbyProcess(start)

    def __call__(self, image: Image) -> None:
        """Analyse one image, skip it with the reason, or let it be fetched again."""
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
        identity = self._ask(image, "identify")
        if identity["sop_instance"] != image.sop_instance:
            raise FailedError("its SOP Instance UID differs from the one that it was sent or found under", final=True)
        if (reason := self._reason_to_skip(image, identity)) is not None:
            self._queue.finish(image, ImageState.SKIPPED, reason)
            logger.info("%s: skipped, %s", image.key, reason)
            return
        if not identity["processing"]:
            self._queue.memory.add_presentations(identity["marks"])
        done = self._ask(image, "analyse")
        self._finished(image, str(done["outcome"]), identity["exam_key"])
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

    def _ask(self, image: Image, what: str) -> Message:
        folder = os.path.abspath(self._queue.place(image).folder)  # noqa: PTH100
        request = {"do": what, "folder": folder, "name": image.key}
        try:
            return self._process.ready().ask(image.key, request, _IMAGE_SECONDS)
        except NoProcessError as error:
            raise UnavailableError(str(error)) from None
        except JobFailedError as error:
            raise FailedError(error.problem, final=error.final) from None
