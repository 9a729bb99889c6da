"""Process the queue: each transition in a separate thread, one image at a time, retried as long as it makes sense."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread

from mammoscope.errors import place_of
from mammoscope.pacs.image_queue import ImageQueue
from mammoscope.pacs.queued_image import Image, ImageState
from mammoscope.pacs.retries import FailedError, UnavailableError, pause

logger = logging.getLogger(__name__)

Transition = Callable[[Image], None]
GivenUp = Callable[[Image, bool], None]

_POLL_SECONDS = 1.0
_STOP_SECONDS = 5.0


class TransitionThreads:
    """Threads that take images from one state to the next.

    Parameters
    ----------
    queue
        The queue.
    transitions
        For a state, what is to be done with an image in it. It moves the image on, or raises ``FailedError`` (retried,
        a dead letter after some attempts) or ``UnavailableError`` (retried without limit, with longer pauses).
    first_pause
        Seconds that a transition pauses when the other side is away for the first time.
    given_up
        Called for each image that becomes a dead letter, in its last state, and whether it would always fail again.
    """

    def __init__(
        self, queue: ImageQueue, transitions: Mapping[ImageState, Transition], first_pause: float, given_up: GivenUp
    ) -> None:
        self._queue, self._first_pause, self._given_up = queue, first_pause, given_up
        self._stopping = Event()
        self._threads = [
            Thread(target=self._run, args=(state, transition), name=f"{state} images", daemon=True)
            for state, transition in transitions.items()
        ]

    def start(self) -> None:
        """Start the threads and return."""
        for thread in self._threads:
            thread.start()

    def stop(self, *interrupts: Callable[[], None]) -> None:
        """Start nothing more, abort what ``interrupts`` end, and wait a little for the rest."""
        self._stopping.set()
        self._queue.wake()
        for interrupt in interrupts:
            interrupt()
        end = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _run(self, state: ImageState, transition: Transition) -> None:
        away = 0
        while not self._stopping.is_set():
            try:
                if (image := self._queue.next(state)) is None:
                    self._queue.wait(_POLL_SECONDS)
                    continue
                away = 0 if self._do(image, transition, away) else away + 1
                if away:
                    self._stopping.wait(pause(away, self._first_pause))
            except Exception as error:  # the queue itself: its disk may be full
                logger.error("the queue cannot be used (%s)", place_of(error))
                self._stopping.wait(_POLL_SECONDS)

    def _do(self, image: Image, transition: Transition, away: int) -> bool:
        """Move one image on; False if the other side cannot be reached."""
        try:
            transition(image)
        except (UnavailableError, OSError) as error:
            if not away and not self._stopping.is_set():
                problem = (
                    error if isinstance(error, UnavailableError) else f"a file cannot be written ({error.strerror})"
                )
                logger.warning("%s; it is retried without limit", problem)
            self._queue.postpone(image, self._first_pause)  # other images come first; all resume after the pause
            return False
        except FailedError as error:
            self._fail(image, str(error), final=error.final)
        except Exception as error:
            logger.error("%s: %s", image.key, place_of(error))
            self._fail(image, f"the step after '{image.state}' failed ({type(error).__name__})")
        return True

    def _fail(self, image: Image, problem: str, *, final: bool = False) -> None:
        if self._stopping.is_set():  # a job aborted by the stop does not count as a failure
            return
        is_last = self._queue.fail(image, problem, final=final)
        logger.warning("%s: %s; %s", image.key, problem, "given up" if is_last else "it is tried again")
        if is_last:
            self._given_up(image, final)
