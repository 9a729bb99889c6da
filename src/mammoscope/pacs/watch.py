"""Look for new mammograms in an archive."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from threading import Event

from mammoscope.pacs.breaker import Breaker
from mammoscope.pacs.image_place import key_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image
from mammoscope.pacs.retries import pause
from mammoscope.peers.errors import FailedError, UncertainError
from mammoscope.peers.found import Source, Study
from mammoscope.peers.listing import Days
from mammoscope.readers.dicom.admission import FOR_PROCESSING, IMAGE_CLASSES
from mammoscope.readers.uids import is_standard_uid

logger = logging.getLogger(__name__)

_LAST_LOOK, _FIRST_SWEEP = "last look", "first sweep"
_OVERLAP = timedelta(days=2)  # images may arrive later than their study's date
_UNKNOWN_NUMBER = -1


class Watch:
    """Finds images and queues them; each is found once, whatever happens in between.

    ``look`` is quick and asks for recent studies. ``sweep`` goes through all studies and finds those that ``look``
    cannot: without a date, with an odd one, or archived long after it. Each may run in a thread of its own, with its
    own ``Source``.

    Parameters
    ----------
    server
        Where to look.
    queue
        The queue.
    modalities
        Which images to take.
    since
        Studies dated from this day on; None: from two days before the last successful query, or before the first.
    breaker
        Of the server.
    stopping
        Set when it should end soon.
    first_pause
        Seconds until a study that failed is asked for again; doubled each time.
    """

    def __init__(
        self,
        server: Source,
        queue: ImageQueue,
        modalities: tuple[str, ...],
        since: date | None,
        breaker: Breaker,
        *,
        stopping: Event | None = None,
        first_pause: float = 5.0,
    ) -> None:
        self._server, self._queue, self._modalities, self._since = server, queue, modalities, since
        self.breaker, self._stopping, self._first_pause = breaker, stopping or Event(), first_pause
        self._looked_into: set[str] = set()
        self._set_aside: dict[str, tuple[int, float]] = {}
        self._incomplete: set[str] = set()

    def look(self) -> int:
        """Queue new images of recent studies; returns how many.

        A study whose number of instances has not changed is skipped, except the first time that this process finds it.
        A study on which the server fails is set aside, and the others continue.

        Raises
        ------
        UnavailableError, UncertainError, FailedError
            The server cannot be reached, or gives no list of studies.
        """
        today = datetime.now(UTC).date()
        days = Days(self._since or self._first_day(today))
        new, all_done = 0, True
        for modality in self._modalities:
            studies, is_whole = self._listed(days, modality)
            self._say_whether_whole(f"studies of modality {modality}", is_whole)
            found, done = self._look_into_all(studies, modality, again=False)
            new, all_done = new + found, all_done and done
        if all_done:
            self._queue.memory.write_note(_LAST_LOOK, today.isoformat())
        return new

    def sweep(self) -> int:
        """Queue new images of all studies; returns how many. Raises as ``look`` does.

        The first sweep of a queue only notes what is there, unless ``since`` says that it is wanted: what the archive
        held before is not new.
        """
        is_first = self._queue.memory.note(_FIRST_SWEEP) is None
        studies, is_whole = self._listed(Days(), None)
        self._say_whether_whole("all studies", is_whole)
        new = 0
        for modality in self._modalities:
            of_modality = [study for study in studies if not study.modalities or modality in study.modalities]
            wanted = [study for study in of_modality if self._is_wanted(study, is_first)]
            if is_first:
                for study in set(of_modality) - set(wanted):
                    self._note(study, modality)
            new += self._look_into_all(wanted, modality, again=True)[0]
            if is_whole:
                self._drop_set_aside({_name(study, modality) for study in of_modality}, modality)
        if is_first and not self._stopping.is_set():
            self._queue.memory.write_note(_FIRST_SWEEP, datetime.now(UTC).date().isoformat())
        return new

    def _is_wanted(self, study: Study, is_first: bool) -> bool:
        if self._since is not None:
            return study.day is None or study.day >= self._since
        return not is_first

    def _listed(self, days: Days, modality: str | None) -> tuple[list[Study], bool]:
        found, reading = [], self._server.studies(days, modality)
        while True:
            try:
                found.append(next(reading))
            except StopIteration as ended:
                self.breaker.succeeded()
                return found, bool(ended.value)
            if self._stopping.is_set():
                return [], True

    def _look_into_all(self, studies: Iterable[Study], modality: str, *, again: bool) -> tuple[int, bool]:
        """New images, and whether all studies were asked for; those that failed last come when their time has come."""
        new, all_done = 0, True
        for study in studies:
            name = _name(study, modality)
            if self._stopping.is_set() or self.breaker.pause_left() > 0:
                return new, False
            if self._is_known(study, name, again):
                continue
            failures, due = self._set_aside.get(name, (0, 0.0))
            if time.monotonic() < due:
                all_done = False
                continue
            try:
                new += self._look_into(study.uid, modality)
            except (FailedError, UncertainError) as error:
                all_done = False
                self._set_aside[name] = (failures + 1, time.monotonic() + pause(failures + 1, self._first_pause))
                if not failures:
                    self._queue.memory.set_aside(name, is_set_aside=True)
                    logger.warning("a study cannot be queried and is set aside: %s", error)
                if isinstance(error, UncertainError):
                    self.breaker.doubted(name, error)
                continue
            if self._set_aside.pop(name, None) is not None:
                self._queue.memory.set_aside(name, is_set_aside=False)
            if self.breaker.succeeded(name):
                self._set_aside = {other: (count, 0.0) for other, (count, _) in self._set_aside.items()}
            self._looked_into.add(name)
            self._note(study, modality)
        return new, all_done

    def _drop_set_aside(self, there: set[str], modality: str) -> None:
        """Forget studies that failed and that the server does not have any more."""
        for name in [name for name in self._set_aside if name not in there and name.startswith(f"{modality} ")]:
            del self._set_aside[name]
            self._queue.memory.set_aside(name, is_set_aside=False)

    def _is_known(self, study: Study, name: str, again: bool) -> bool:
        seen = self._queue.memory.instances_seen(name)
        if again:
            return seen == (_UNKNOWN_NUMBER if study.instances is None else study.instances)
        return study.instances is not None and name in self._looked_into and seen == study.instances

    def _note(self, study: Study, modality: str) -> None:
        number = _UNKNOWN_NUMBER if study.instances is None else study.instances
        if self._queue.memory.instances_seen(_name(study, modality)) != number:
            self._queue.memory.saw_study(_name(study, modality), number)

    def _say_whether_whole(self, what: str, is_whole: bool) -> None:
        """Say once that a list cannot be read to its end, and again after it could."""
        if is_whole:
            self._incomplete.discard(what)
        elif what not in self._incomplete:
            self._incomplete.add(what)
            logger.warning(
                "%s: the list of %s cannot be read to its end, some may be missing (see 'What is new' in docs/pacs.md)",
                self._server,
                what,
            )

    def _first_day(self, today: date) -> date:
        noted = self._queue.memory.note(_LAST_LOOK)
        return (today if noted is None else min(today, date.fromisoformat(noted))) - _OVERLAP

    def _look_into(self, study: str, modality: str) -> int:
        instances, is_whole = self._server.instances(study, modality)
        if not is_whole:
            logger.warning("%s: the list of a study's images cannot be read to its end", self._server)
        found = [item for item in instances if item.sop_class in IMAGE_CLASSES]
        new = [
            item
            for item in found
            if not self._queue.memory.is_result(item.sop_instance)
            and self._queue.find(item.sop_instance, item.sop_class, item.study, item.series)
        ]
        for item in new:
            if not all(map(is_standard_uid, (item.study, item.series, item.sop_instance))):
                logger.warning(
                    "%s: a UID of it is not written as a UID should be; it is used as it stands",
                    key_of(item.sop_instance),
                )
        return len(new)


class Fetcher:
    """The step from FOUND to RECEIVED.

    Parameters
    ----------
    hold
        Seconds that an image For Processing waits for the same exposure For Presentation.
    """

    def __init__(self, server: Source, queue: ImageQueue, hold: float) -> None:
        self._server, self._queue, self._hold = server, queue, hold

    def __call__(self, image: Image) -> None:
        """Fetch one image."""
        if image.study is None or image.series is None:
            raise FailedError("its study or series is not known", final=True)
        hold = self._hold if image.sop_class in FOR_PROCESSING else 0.0
        with self._server.fetch(image.study, image.series, image.sop_instance) as blocks:
            is_new = self._queue.fetched(image, blocks, hold)
        if not is_new:  # the archive has it like that
            raise FailedError(image.problem or "it cannot be analysed", final=True)
        logger.info("%s: fetched", image.key)

    def interrupt(self) -> None:
        """End the fetch under way, from another thread."""
        self._server.interrupt()


def _name(study: Study, modality: str) -> str:
    return f"{modality} {study.uid}"
